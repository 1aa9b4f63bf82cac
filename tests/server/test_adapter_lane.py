"""A lane with an adapter on a real server: exported beside the others, asked for by its name, taken
by no policy."""

from __future__ import annotations

import shutil

import pytest
import torch
import tritonclient.grpc as grpc
from diffusers import Flux2Transformer2DModel
from peft import LoraConfig, get_peft_model

from exports import exported
from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.client import Retouch, answer_of, inputs_of
from retouch.launcher.server import REPOSITORY, ROOT, Server, models
from retouch.offline.plain_loop import PlainLoop

CHECKPOINT = ROOT / "checkpoints" / "shapes"
SENTENCE = "make the red circle blue"
LANE = "bf16-sketch"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A copy of what is exported, and the lane of an adapter that peft has made and nobody
    trained."""
    folder = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(0)
    model = Flux2Transformer2DModel.from_pretrained(
        CHECKPOINT / "transformer", torch_dtype=torch.float32
    )
    settings = LoraConfig(r=4, target_modules=["attn.to_q", "attn.to_v"], init_lora_weights=False)
    get_peft_model(model, settings).save_pretrained(folder / "adapter")
    copy = shutil.copytree(
        REPOSITORY,
        folder / "repository",
        symlinks=True,
        ignore=shutil.ignore_patterns("__pycache__", "denoiser_fp4", "denoiser_*-*"),
    )
    adapter = "--lora", folder / "adapter", "--lora-name", "sketch", "--lora-scale", 0.2
    output = exported(CHECKPOINT, "--repository", copy, "--only", "denoiser", *adapter)
    assert output.startswith(f"exported denoiser_{LANE}") and len(output.splitlines()) == 1
    return copy


@pytest.fixture(scope="module")
def adapted(repository, tmp_path_factory):
    assert f"denoiser_{LANE}" in models(repository)
    with Server(repository, log=tmp_path_factory.mktemp("log") / "server.log") as running:
        yield running


@pytest.fixture
def client(adapted):
    with Retouch(f"127.0.0.1:{adapted.grpc}") as kept:
        yield kept


def edited(client, photo, precision):
    *_, answer = client.edit(photo, SENTENCE, precision=precision, seed=3)
    return answer


def test_it_serves_those_that_name_it(client, repository, photo):
    """With the bytes of its own network, not the plain lane's."""
    answer = edited(client, photo, LANE)
    assert (answer.info.lane, answer.info.lane_reason) == (LANE, "asked for by name")
    request = EditRequest(photo, SENTENCE, seed=3, precision=LANE)
    assert answer.image == PlainLoop(repository, LANE).edit(request)
    assert answer.image != edited(client, photo, "bf16").image


def test_no_policy_takes_it(client, photo):
    lanes = {
        policy: edited(client, photo, policy).info.lane
        for policy in ("auto", "draft", "balanced", "best")
    }
    assert set(lanes.values()) <= {"bf16", "fp8"}


def test_an_error_lists_it(client, photo):
    loaded = "bf16, fp8, bf16-sketch"
    with pytest.raises(
        RequestError,
        match=f"PRECISION fp8-sketch is not loaded on this server; loaded are {loaded}",
    ):
        edited(client, photo, "fp8-sketch")


def test_every_door_but_the_ensemble_knows_it(adapted, photo):
    with grpc.InferenceServerClient(f"127.0.0.1:{adapted.grpc}") as direct:
        answer = answer_of(
            direct.infer("edit_sync", inputs_of(EditRequest(photo, SENTENCE, precision=LANE), grpc))
        )
    assert answer.info.lane == LANE
    with (
        Retouch(f"127.0.0.1:{adapted.grpc}", model="edit_ensemble") as ensemble,
        pytest.raises(
            RequestError, match=f"PRECISION {LANE} is not loaded on this server; loaded are bf16"
        ),
    ):
        edited(ensemble, photo, LANE)
