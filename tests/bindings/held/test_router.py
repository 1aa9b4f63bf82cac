"""The shipped checkpoint's lanes on their way: plans beside the exported graphs, served by the
runner `tensorrt`."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from retouch.artifacts.manifest import ArtifactError, verify
from retouch.backends.base import backend_of
from retouch.backends.onnx import OnnxBackend
from retouch.engine.denoiser import Denoiser
from retouch.families.denoise_request import DenoiseRequest
from retouch.launcher.server import REPOSITORY, ROOT
from retouch_export.checkpoint import Checkpoint
from retouch_export.exporter import Exporter
from retouch_export.parts import Stage

DENOISER = Stage("denoiser", "instructx")
LANES = ("bf16", "fp8")


@pytest.fixture(scope="module")
def exporter(tmp_path_factory):
    """Over a copy of the exported lanes."""
    repository = tmp_path_factory.mktemp("repository")
    for lane in LANES:
        made = REPOSITORY / f"denoiser_{lane}" / "1"
        files = verify(made).files
        folder = repository / f"denoiser_{lane}" / "1"
        folder.mkdir(parents=True)
        for name in (*files, "manifest.json"):
            shutil.copy(made / name, folder / name)
    return Exporter(
        Checkpoint(ROOT / "checkpoints" / "photo"), "c" * 64, repository, say=lambda label: None
    )


def latents_of(folder, runner):
    """The last latents of an edit of noise, in two steps, on a part of the smallest bucket."""
    rng = np.random.default_rng(0)
    denoiser = Denoiser(folder, runner)
    size = denoiser.settings["patch"] * 6, denoiser.settings["patch"] * 10
    source = rng.standard_normal((3, *size), np.float32)
    boxes = np.zeros((denoiser.settings["slots"], 2, 4), np.float32)
    conditioning = {"prompt_embeds": rng.standard_normal((8, 192), np.float32), "boxes": boxes}
    region = np.arange(60) % 3 == 0
    *_, last = denoiser.run(DenoiseRequest(source, conditioning, region, seed=1, steps=2))
    return last.latents


def test_a_lane_gets_its_plans_and_serves_them(exporter, device, world):
    for lane in LANES:
        folder = DENOISER.folder(exporter.repository, lane)
        before = verify(folder).files
        sizes = exporter.plans(DENOISER, lane, force=lane != "bf16", strip=False)
        manifest = verify(folder)
        assert set(sizes) == set(manifest.plans) == {"reference", "step"}
        assert set(manifest.files) == {*before, "reference.plan", "step.plan"}
        assert {name: manifest.files[name] for name in before} == before
        np.testing.assert_allclose(
            latents_of(folder, backend_of("tensorrt")), latents_of(folder, OnnxBackend), atol=1e-6
        )
    assert not list(exporter.repository.glob("*/.partial"))


def test_a_refused_lane_stays_as_it_was(exporter, device, world):
    folder = DENOISER.folder(exporter.repository, "fp8")
    before = sorted(path.name for path in folder.iterdir()), verify(folder)
    device.capability = (8, 0)
    with pytest.raises(ArtifactError, match="the lane fp8 needs an Ada or Hopper GPU"):
        exporter.plans(DENOISER, "fp8", force=True, strip=False)
    assert (sorted(path.name for path in folder.iterdir()), verify(folder)) == before
