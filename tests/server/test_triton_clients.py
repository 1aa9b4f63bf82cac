"""What any Triton client asks beside edits, over both protocols: metadata, configuration, index,
statistics, and unary calls."""

from __future__ import annotations

import pytest
import tritonclient.grpc
import tritonclient.http

from processes import until
from retouch.api.fields import FIELDS
from retouch.api.request import EditRequest
from retouch.client import answer_of, inputs_of
from retouch.launcher.secret import grpc_headers, http_headers

DOORS = ("edit", "edit_sync", "edit_ensemble")


@pytest.fixture(scope="module", params=["grpc", "http"])
def triton(request, server):
    """A client of tritonclient and its module; JSON answers from both."""
    if request.param == "grpc":
        with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{server.grpc}") as client:
            yield client, tritonclient.grpc, {"as_json": True}
    else:
        with tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.http}") as client:
            yield client, tritonclient.http, {}


def test_health_and_server_metadata(triton):
    client, _, as_json = triton
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("edit")
    metadata = client.get_server_metadata(**as_json)
    assert metadata["name"] == "triton" and "binary_tensor_data" in metadata["extensions"]


@pytest.mark.parametrize("door", DOORS)
def test_model_metadata_names_the_tensors(triton, door):
    client, _, as_json = triton
    metadata = client.get_model_metadata(door, **as_json)
    assert [entry["name"] for entry in metadata["inputs"]] == [tensor.name for tensor in FIELDS]
    assert {entry["name"] for entry in metadata["outputs"]} == (
        {"EDITED", "STEP", "INFO"} if door == "edit_ensemble" else {"IMAGE", "STEP", "INFO"}
    )


def test_configuration_says_which_doors_stream(triton):
    client, _, as_json = triton

    def streams(door):
        answer = client.get_model_config(door, **as_json)
        return bool(
            answer.get("config", answer).get("model_transaction_policy", {}).get("decoupled")
        )

    assert streams("edit") and not streams("edit_sync")


def test_the_index_lists_all_models_as_ready(triton, server):
    client, _, as_json = triton
    headers = (grpc_headers if as_json else http_headers)(server.secret)
    index = client.get_model_repository_index(headers=headers, **as_json)
    states = {
        entry["name"]: entry.get("state") for entry in (index["models"] if as_json else index)
    }
    assert {
        states[name]
        for name in (
            *DOORS,
            "vl_parser",
            "connector",
            "vae_encoder",
            "denoiser_bf16",
            "vae_decoder",
        )
    } == {"READY"}


def test_statistics_count_a_unary_edit(triton, photo):
    client, protocol, as_json = triton

    def succeeded():
        (statistics,) = client.get_inference_statistics("edit_sync", **as_json)["model_stats"]
        return int(statistics["inference_stats"]["success"].get("count", 0))

    before = succeeded()
    answer = answer_of(
        client.infer(
            "edit_sync", inputs_of(EditRequest(photo, "make the red circle blue", seed=3), protocol)
        )
    )
    assert answer.final and answer.info.seed == 3
    until(
        lambda: succeeded() > before, "it is not counted"
    )  # tritonserver counts it when it has answered
    assert succeeded() == before + 1
