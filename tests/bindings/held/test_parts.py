"""Plans of parser, connector and autoencoder: each is built and runs as its stage, and a server
edits by plans alone."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from emulated import WORLD
from parts import STAGES, copy, exporter_of
from PIL import Image

from retouch.api.request import EditRequest
from retouch.artifacts.manifest import ArtifactError, read, verify
from retouch.artifacts.tensorrt_plan import PlanInfo
from retouch.backends.auto import candidates
from retouch.backends.base import backend_of
from retouch.backends.onnx import OnnxBackend
from retouch.backends.tensorrt.backend import TensorRTBackend
from retouch.backends.tensorrt.cuda import gpu
from retouch.client import Retouch
from retouch.families.connector import Connector
from retouch.families.instructx.parser import Parser
from retouch.families.vae import VaeDecoder, VaeEncoder
from retouch.launcher.server import Server
from retouch.launcher.write_profiles import Profile, written
from retouch.offline.plain_loop import PlainLoop
from retouch.util.gpu_machine import Gpu, GpuMachine
from retouch_export import plan_trial
from retouch_export.export_plan import Settings, Work
from retouch_export.parts import Stage
from retouch_export.run import run

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from beside import psnr  # noqa: E402
from pictures import file_of, scene  # noqa: E402

BINDINGS = Path(__file__).resolve().parents[1]
PARSER, CONNECTOR, ENCODER, DECODER = STAGES
DENOISER = Stage("denoiser", "instructx")
SENTENCE = "make the red circle blue"
# test_build.py and test_run.py hold every call against both versions
pytestmark = pytest.mark.skipif(not WORLD.eleven, reason="parts for one version are enough")
# each runner rounds keys and values to bfloat16 at its own places
NEAR = 45  # dB


@pytest.fixture(scope="module")
def exporter(tmp_path_factory):
    """Over a repository with plans of every part in bf16."""
    made = exporter_of(copy(tmp_path_factory.mktemp("parts") / "repository"))
    for stage in STAGES:
        made.plans(stage, "bf16", force=False, strip=False)
    return made


def folder_of(exporter, stage, precision="bf16"):
    return stage.folder(exporter.repository, precision)


def photos(count):
    return np.random.default_rng(0).integers(0, 256, (count, 96, 160, 3), np.uint8)


def counting(runs):
    """A backend of plans that notes the rows of every run."""

    def backend(folder, graph, keep=()):
        plan = TensorRTBackend(folder, graph, keep)
        run = plan.run

        def noted(**inputs):
            first = next(iter(inputs.values()))
            runs.append(len(first))
            return run(**inputs)

        plan.run = noted
        return plan

    return backend


def test_every_part_has_its_plans(exporter, world):
    for stage in STAGES:
        folder = folder_of(exporter, stage)
        manifest = verify(folder)
        graphs = {path.stem for path in folder.glob("*.onnx")}
        assert set(manifest.plans) == graphs and graphs
        for graph in graphs:
            info = PlanInfo.of(manifest, graph, stage.name)
            assert info.part == stage.name and info.tensorrt == world.version
            batches = {next(iter(profile.values()))[2][0] for profile in info.profiles}
            assert batches == {1, 8}
            assert min(info.similarity.values()) > 0.999
        assert not verify(folder.parent).plans, "the graphs of every machine have no plan"


def test_an_export_reports_what_it_has_built(exporter, capsys):
    plans = [(CONNECTOR, "bf16"), (CONNECTOR, "fp8")]
    work = Work(exporter.checkpoint, exporter.sha256, exporter.repository, [], DENOISER, [], plans)
    run(work, Settings(force=True))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("built the plans of connector in bf16: model ")
    assert second.startswith("built the plans of connector in fp8: model ")


def test_stages_run_alone_and_in_batches(exporter, device):
    """The same as by ONNX Runtime, and rows that share a run."""
    runs = []
    images = photos(8)
    ours, theirs = (
        (
            Parser(folder_of(exporter, PARSER), backend=backend),
            Connector(folder_of(exporter, CONNECTOR), backend),
            VaeEncoder(folder_of(exporter, ENCODER), backend=backend),
            VaeDecoder(folder_of(exporter, DECODER), backend),
        )
        for backend in (counting(runs), OnnxBackend)
    )
    parsed = [one[0].run(images, [SENTENCE] * 8) for one in (ours, theirs)]
    assert runs == [8, 8], "vision and language, once each"
    for a, b in zip(*parsed):
        np.testing.assert_allclose(a.queries, b.queries, atol=1e-4, rtol=1e-4)
        assert a.operations == b.operations and (a.region == b.region).all()
    queries = [row.queries for row in parsed[1]]
    embeds = [np.stack(one[1].run_rows(queries)) for one in (ours, theirs)]
    np.testing.assert_allclose(*embeds, atol=1e-4, rtol=1e-4)
    latents = [one[2].run(images) for one in (ours, theirs)]
    np.testing.assert_allclose(*latents, atol=1e-4, rtol=1e-4)
    pixels = [one[3].run(latents[1]).astype(int) for one in (ours, theirs)]
    assert np.abs(pixels[0] - pixels[1]).max() <= 1
    assert runs[2:] == [8, 8, 8]
    runs.clear()
    ours[2].run(photos(9)[8:])
    ours[0].run(photos(9)[8:], [SENTENCE])
    assert runs == [1, 1, 1]


def test_narrow_parts_are_raced_in_their_largest_graph(exporter, world, monkeypatch):
    for name in ("WARM", "ROUNDS"):
        monkeypatch.setattr(plan_trial, name, 1)
    world.milliseconds = 0.5  # plans keep the time that they were built with
    for stage in (PARSER, CONNECTOR):
        exporter.plans(stage, "fp8", force=False, strip=False)
    plans = {
        graph: PlanInfo.of(read(folder_of(exporter, PARSER, "fp8")), graph)
        for graph in ("vision", "language")
    }
    assert plans["language"].milliseconds == {"fp8": pytest.approx(0.5), "bf16": pytest.approx(1)}
    assert plans["language"].layers["fp8"] > 0
    assert plans["vision"].milliseconds == {}
    world.milliseconds = 1.0
    with pytest.raises(ArtifactError, match="connector in fp8 takes 1.00 ms a run of model"):
        exporter.plans(CONNECTOR, "fp8", force=False, strip=False)


def test_narrow_parts_need_the_wider_plans(tmp_path, world):
    exporter = exporter_of(copy(tmp_path / "repository"))
    message = (
        "vl_parser in fp8 must be faster than bf16, which cannot be measured: vl_parser in bf16 "
        "has no TensorRT plan of language"
    )
    with pytest.raises(ArtifactError, match=message):
        exporter.plans(PARSER, "fp8", force=False, strip=False)
    assert not list(exporter.repository.glob("vl_parser/1/*/*.plan"))


def test_plans_that_cannot_run_here_name_the_part(exporter, device, world):
    remedy = "retouch export CHECKPOINT --parts bf16 --tensorrt"
    folder = folder_of(exporter, DECODER)
    capability = device.capability
    device.capability = (8, 9)
    with pytest.raises(ArtifactError) as failure:
        VaeDecoder(folder, backend_of("tensorrt"))
    assert "the plan of vae_decoder's model was built for" in str(failure.value)
    assert remedy in str(failure.value) and "\n" not in str(failure.value)
    with pytest.raises(ArtifactError, match="the plan of connector's model was .*--parts fp8"):
        Connector(folder_of(exporter, CONNECTOR, "fp8"), backend_of("tensorrt"))
    device.capability = capability
    # by what is known of the machine before a start
    other = Gpu("NVIDIA L40S", (8, 9), 1 << 35, 1 << 35)
    machine = GpuMachine((other,), packages={"tensorrt": world.version, "cuda-bindings": "13"})
    runners, reasons = candidates(folder, machine, None)
    assert "tensorrt" not in runners
    assert "the plan of vae_decoder's model was built for" in reasons["tensorrt"]
    here = Gpu(gpu()[0], device.capability, 1 << 35, 1 << 35)
    assert candidates(folder, replace(machine, gpus=(here,)), None)[0][0] == "tensorrt"


@pytest.fixture(scope="module")
def emulated(exporter):
    """The repository with the profile `emulated`: every model with graphs runs by plans, and its
    process imports the emulated TensorRT."""
    exporter.plans(DENOISER, "bf16", force=False, strip=False)
    profile = Profile("tensorrt", "tensorrt", ("bf16",), is_on_gpu=False)
    paths = [str(BINDINGS), *os.environ["PYTHONPATH"].split(os.pathsep)]
    prefix = f"import sys\n\nsys.path[:0] = {paths!r}\nimport emulated\n\n"
    for model in (*(stage.name for stage in STAGES), "denoiser_bf16"):
        folder = exporter.repository / model
        (folder / "configs").mkdir()
        text = written(model, profile, exporter.repository)
        (folder / "configs" / "emulated.pbtxt").write_text(text)
        script = folder / "1" / "model.py"
        script.write_text(prefix + script.read_text())
    return exporter.repository


def pixels_of(file):
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image)


def test_a_server_edits_by_plans_alone(emulated, world, tmp_path):
    photo = file_of(scene())
    loop = PlainLoop(emulated, "bf16", OnnxBackend, OnnxBackend, parts="bf16")
    expected = loop.edit(EditRequest(photo, SENTENCE, precision="bf16", seed=3))
    for graph in emulated.glob("*/1/**/*.onnx*"):
        graph.unlink()
    with (
        Server(emulated, profile="emulated", log=tmp_path / "server.log") as server,
        Retouch(f"127.0.0.1:{server.grpc}") as client,
    ):
        *_, answer = client.edit(photo, SENTENCE, precision="bf16", seed=3)
    assert answer.info.parts == {"vl_parser": "bf16", "connector": "bf16"}
    ours = pixels_of(answer.image)
    assert psnr(ours, pixels_of(expected)) >= NEAR
    assert (ours != scene()).any()
