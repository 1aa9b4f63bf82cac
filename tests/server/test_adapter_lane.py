"""Adapters on a real server: merged into a lane that is asked for by its name and taken by no
policy, and by request, from the folder of adapters."""

from __future__ import annotations

import shutil
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import tritonclient.grpc as grpc
from click.testing import CliRunner
from diffusers import Flux2Transformer2DModel
from peft import LoraConfig, get_peft_model

from beside import psnr
from exports import exported
from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.client import Retouch, answer_of, inputs_of
from retouch.imaging import images
from retouch.launcher.server import REPOSITORY, ROOT, Server, models
from retouch.offline.plain_loop import PlainLoop
from retouch_clients.command import retouch

CHECKPOINT = ROOT / "checkpoints" / "photo"
SENTENCE = "make the red circle blue"
LANE = "bf16-sketch"


def trained(folder, seed, *targets):
    """An adapter that peft has made and nobody trained."""
    torch.manual_seed(seed)
    model = Flux2Transformer2DModel.from_pretrained(
        CHECKPOINT / "transformer", torch_dtype=torch.float32
    )
    settings = LoraConfig(r=4, target_modules=list(targets), init_lora_weights=False)
    get_peft_model(model, settings).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A copy of what is exported, and the lane of an adapter."""
    folder = tmp_path_factory.mktemp("adapter")
    path = trained(folder / "adapter", 0, "attn.to_q", "attn.to_v")
    copy = shutil.copytree(
        REPOSITORY,
        folder / "repository",
        symlinks=True,
        ignore=shutil.ignore_patterns("__pycache__", "denoiser_fp4", "denoiser_*-*"),
    )
    adapter = "--lora", path, "--lora-name", "sketch", "--lora-scale", 0.2
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


# -- by request ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(adapted, repository):
    """The folder beside the repository, which was not there when the server began."""
    paths = {
        "sketch": repository.parent / "adapter",
        "ink": trained(repository.parent / "ink", 1, "attn.to_k", "to_qkv_mlp_proj"),
    }
    for name, path in paths.items():
        arguments = "adapters", "add", path, "--name", name, "--repository", repository
        done = CliRunner().invoke(retouch, list(map(str, arguments)), catch_exceptions=False)
        assert done.exit_code == 0 and done.stdout.startswith(f"added {name} to ")
    return repository.parent / "adapters"


def asked(client, photo, adapter, **options):
    *_, answer = client.edit(photo, SENTENCE, precision="bf16", seed=3, adapter=adapter, **options)
    return answer


def likeness(ours, theirs):
    """Of two answers, in dB."""
    return psnr(*(images.decode(answer.image) for answer in (ours, theirs)))


def test_an_adapter_by_request_is_the_merged_one(client, folder, photo):
    answer = asked(client, photo, "sketch:0.2")
    assert (answer.info.lane, answer.info.adapters) == ("bf16", {"sketch": 0.2})
    assert likeness(answer, edited(client, photo, LANE)) >= 49
    assert answer.image != asked(client, photo, "").image


def test_neighbours_have_adapters_of_their_own(adapted, client, folder, repository, photo):
    """Every answer has the bytes of its edit alone, whatever runs beside it."""
    adapters = ("sketch", "ink:0.5", "", "ink:0.5,sketch:-1") * 2
    loop = PlainLoop(repository, "bf16", adapters=folder)
    alone = {
        adapter: loop.edit(EditRequest(photo, SENTENCE, seed=3, adapter=adapter))
        for adapter in set(adapters)
    }
    assert len(set(alone.values())) == len(alone)
    with ThreadPoolExecutor(len(adapters)) as threads:
        answers = threads.map(lambda adapter: asked(client, photo, adapter).image, adapters)
        assert list(answers) == [alone[adapter] for adapter in adapters]
    page = urllib.request.urlopen(f"http://127.0.0.1:{adapted.metrics}/metrics").read().decode()
    for name in ("loaded", "bytes", "loads_total", "hits_total", "evictions_total"):
        assert f'retouch_adapters_{name}{{lane="bf16"' in page


def test_an_ensemble_takes_adapters(adapted, folder, photo):
    with Retouch(f"127.0.0.1:{adapted.grpc}", model="edit_ensemble") as ensemble:
        answer = asked(ensemble, photo, "sketch:0.2")
        assert answer.info.adapters == {"sketch": 0.2}


def test_a_lane_in_fp8_takes_adapters(client, folder, photo):
    """Beside quantised weights, in float."""
    *_, plain = client.edit(photo, SENTENCE, precision="fp8", seed=3)
    *_, answer = client.edit(photo, SENTENCE, precision="fp8", seed=3, adapter="sketch")
    assert answer.info.lane == "fp8" and answer.image != plain.image
    assert likeness(answer, asked(client, photo, "sketch")) >= 30


def test_an_unknown_adapter_is_refused_with_those_there_are(client, folder, photo):
    with pytest.raises(
        RequestError, match="ADAPTER pencil is unknown; there are ink, sketch"
    ) as no:
        asked(client, photo, "pencil")
    assert (no.value.code, no.value.field) == ("INVALID_ARGUMENT", "ADAPTER")
