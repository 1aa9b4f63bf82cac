"""Every graph of every family by the torch runner on the CPU: the same as ONNX Runtime's, and a
batch is the same as its rows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from exports import exported
from families_tiny import NAMES, SIZES, make_published, make_small
from retouch.artifacts.manifest import FLOAT32
from retouch.backends.onnx import OnnxBackend
from retouch.backends.torch import TorchBackend
from retouch.engine.denoiser import Denoiser
from retouch.families.connector import Connector
from retouch.families.instructx.parser import ParseInput
from retouch.families.registry import class_of
from retouch.families.text_stage import stage_of
from retouch.families.vae import VaeDecoder, VaeEncoder
from retouch.imaging import images
from retouch.serving import repository
from retouch.serving.warm_up import sizes_of, warm_up
from retouch.util import env
from retouch_export.checkpoint import Checkpoint
from retouch_export.graph_check import UNSEEN
from retouch_export.parts import stages_of

# the norm of an error over the norm of the output, where both compute in float32
EXACT = 3e-5
# where both round to bfloat16 between operations, each at its own places
ROUNDING = 2**-5
ROWS = 8
SIZE = (64, 96)
COLOURS = ("red", "green", "white", "black", "pink", "grey", "brown", "orange")
SENTENCES = [f"make the {colour} circle blue" for colour in COLOURS]


@dataclass(frozen=True)
class Exported:
    checkpoint: Checkpoint
    repository: Path

    @property
    def name(self) -> str:
        return self.checkpoint.family

    def folder(self, model: str) -> Path:
        return self.repository / model / "1"


@dataclass
class Runner:
    """Makes torch backends that gain by batches, or do not, and counts the runs of every graph."""

    batches: bool
    compiles: bool = False
    runs: Counter = field(default_factory=Counter)

    def __call__(self, folder: Path, graph: str, keep: tuple[str, ...] = ()) -> TorchBackend:
        backend = TorchBackend(folder, graph, keep, device="cpu", compiled=False)
        run = backend.run

        def counted(**inputs):
            self.runs[graph] += 1
            return run(**inputs)

        backend.batches = self.batches
        backend.compiles = self.compiles
        backend.run = counted
        return backend


def torch_backend(folder: Path, graph: str) -> TorchBackend:
    return TorchBackend(folder, graph, device="cpu", compiled=False)


@pytest.fixture(scope="module", params=NAMES)
def family(request, tmp_path_factory) -> Exported:
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        checkpoint = make_published(request.param, folder / "checkpoint")
        exported(checkpoint, "--repository", folder / "repository")
        made = Exported(Checkpoint(checkpoint), folder / "repository")
        manifest = made.folder("denoiser_bf16") / "manifest.json"
        document = json.loads(manifest.read_text())
        document["settings"] |= SIZES.get(request.param, {})
        manifest.write_text(json.dumps(document))
        yield made


def test_every_graph(family):
    """At shapes that no graph was traced with."""
    for stage in stages_of(family.name):
        folder = stage.folder(family.repository, "bf16")
        for graph in stage.part().graphs(family.checkpoint):
            ours = torch_backend(folder, graph.name)
            theirs = OnnxBackend(folder, graph.name)
            bound = EXACT if theirs.manifest.arithmetic == FLOAT32 else ROUNDING
            for shape in UNSEEN[:2]:
                torch.manual_seed(0)
                inputs = {name: value.numpy() for name, value in graph.inputs(shape).items()}
                outputs = ours.run(**inputs)
                for name, expected in theirs.run(**inputs).items():
                    error = far(outputs[name], expected)
                    assert error <= bound, f"{stage.name} {graph.name} {name} {shape}: {error:.1e}"


def far(ours: np.ndarray, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def test_eight_images_share_a_run_of_the_autoencoder(family):
    photos = [photo(seed) for seed in range(ROWS)]
    runners = Runner(True), Runner(False)
    latents = [
        VaeEncoder(family.folder("vae_encoder"), backend=runner).run_rows(photos)
        for runner in runners
    ]
    assert [runner.runs["model"] for runner in runners] == [1, ROWS]
    assert max(map(far, *latents)) <= EXACT
    runners = Runner(True), Runner(False)
    pixels = [
        VaeDecoder(family.folder("vae_decoder"), runner).run_rows(latents[1]) for runner in runners
    ]
    assert [runner.runs["model"] for runner in runners] == [1, ROWS]
    steps = np.abs(np.stack(pixels[0]).astype(int) - np.stack(pixels[1]))
    assert steps.max() <= 1, "grey levels"


def test_eight_edits_share_a_run_of_every_text_graph(family):
    """Different images, and different sentences where their lengths are fixed."""
    is_fixed = family.name in ("flux-kontext", "flux2-klein-kv")
    rows = [
        ParseInput(
            [images.encode(photo(seed))],
            photo(seed),
            SENTENCES[seed] if is_fixed else SENTENCES[0],
        )
        for seed in range(ROWS)
    ]
    runners = Runner(True), Runner(False)
    together = stage_of(family.folder("vl_parser"), runners[0]).parse(rows)
    alone = stage_of(family.folder("vl_parser"), runners[1]).parse(rows)
    counts = dict.fromkeys(runners[1].runs, 1)
    if class_of(family.name).is_block_causal:
        counts["language"] = 2  # up to the photos, and the sentences
    assert runners[0].runs == counts
    assert runners[1].runs == {graph: ROWS * count for graph, count in counts.items()}
    bound = EXACT if family.name in ("flux-kontext", "instructx") else ROUNDING
    for ours, theirs in zip(together, alone):
        assert far(ours.queries, theirs.queries) <= bound
        if theirs.pooled_prompt_embeds.size:
            assert far(ours.pooled_prompt_embeds, theirs.pooled_prompt_embeds) <= bound
    different = {parsed.queries.tobytes() for parsed in alone}
    assert len(different) == ROWS


def test_sizes_and_lengths_that_differ_run_apart(family):
    runner = Runner(True)
    encoder = VaeEncoder(family.folder("vae_encoder"), backend=runner)
    photos = [photo(0), photo(1, (96, 64)), photo(2), photo(0)]
    latents = encoder.run_rows(photos)
    assert runner.runs["model"] == 2 and latents[0] is latents[3]
    for image, row in zip(photos, latents):
        alone = VaeEncoder(family.folder("vae_encoder"), backend=Runner(False))
        assert far(row, alone.run(image[None])[0]) <= EXACT


def test_warm_up_runs_every_graph_that_is_compiled(family, monkeypatch):
    monkeypatch.setenv(env.WARMUP.name, "64x96, 96x64")
    adapter = repository.family(family.repository)
    sizes = len({adapter.size(64, 96), adapter.size(96, 64)})
    compiled = Runner(batches=True, compiles=True)
    plain = Runner(batches=True)
    for runner in (compiled, plain):
        warm_up(VaeEncoder(family.folder("vae_encoder"), backend=runner), adapter)
        warm_up(VaeDecoder(family.folder("vae_decoder"), runner), adapter)
        warm_up(Denoiser(family.folder("denoiser_bf16"), runner), adapter)
        warm_up(stage_of(family.folder("vl_parser"), runner), adapter)
        warm_up(Connector(family.folder("connector"), runner), adapter)
    assert not plain.runs
    graphs = {
        graph.name
        for stage in stages_of(family.name)
        for graph in stage.part().graphs(family.checkpoint, outline=False)
    }
    assert compiled.runs.keys() == graphs
    assert compiled.runs["step"] == 2 * sizes


@pytest.mark.parametrize("sizes", ("64", "64x", "0x64", "64x64;", "a x b"))
def test_sizes_of_the_warm_up_are_checked(sizes):
    with pytest.raises(ValueError, match="RETOUCH_WARMUP is .* as 1024x1024,768x1360"):
        sizes_of(sizes)


def photo(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
