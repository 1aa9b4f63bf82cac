"""Every shape that a stage runs lies in a profile of its plans: smallest, usual and largest edits
and texts of every family, alone and in batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from families_tiny import NAMES, SIZES, make_published, make_small
from retouch.api.limits import MAX_INSTRUCTION
from retouch.artifacts.manifest import Manifest, publish
from retouch.backends.base import joined
from retouch.backends.batches import LARGEST
from retouch.families.base import Family
from retouch.families.connector import Connector
from retouch.families.instructx.parser import ParseInput, Parser
from retouch.families.registry import family_of
from retouch.families.text_encoder import text_encoder_of
from retouch.families.vae import VaeDecoder, VaeEncoder
from retouch_export.checkpoint import Checkpoint
from retouch_export.edit_sizes import edit_sizes
from retouch_export.graph import TRACED, Graph
from retouch_export.part_profiles import PartProfile, part_profiles
from retouch_export.parts import OPSET, Part, Stage

SENTENCES = ("a", "make the red circle blue", "q" * MAX_INSTRUCTION)
PHOTO_SIZES = ((64, 64), (32, 128), (128, 32), (250, 1000))


@dataclass(frozen=True)
class Run:
    """The shapes of the inputs of one run of a graph."""

    graph: str
    shapes: dict[str, tuple[int, ...]]


class Stages:
    """The stages of one checkpoint, whose graphs are torch modules; notes every run.

    An autoencoder's graphs answer zeros, because large images would take minutes."""

    def __init__(self, checkpoint: Checkpoint, folder: Path):
        self.checkpoint = checkpoint
        self.folder = folder
        self.runs: list[Run] = []
        self.graphs: dict[str, Graph] = {}
        self.manifest = Manifest("", "", "", "", OPSET)

    def part(self, name: str) -> Part:
        return Stage(name, self.checkpoint.family).part()

    def open(self, name: str) -> Path:
        """A folder with what lies beside the stage's graphs."""
        folder = self.folder / name / "1"
        if not folder.is_dir():
            staging = self.folder / name / ".partial"
            staging.mkdir(parents=True)
            folder.mkdir()
            part = self.part(name)
            part.files(self.checkpoint, staging)
            settings = part.all_settings(self.checkpoint)
            manifest = Manifest(self.checkpoint.family, "", "bf16", "", OPSET, settings=settings)
            if name == "connector" and part.graphs(self.checkpoint):
                (staging / "model.onnx").touch()
            publish(staging, folder, manifest)
            self.manifest = manifest
        self.graphs = {graph.name: graph for graph in self.part(name).graphs(self.checkpoint)}
        return folder

    def backend(self, folder: Path, graph: str, keep: tuple[str, ...] = ()) -> Backend:
        return Backend(self, self.graphs[graph])


class Backend:
    batches = True
    compiles = False

    def __init__(self, stages: Stages, graph: Graph):
        self.stages = stages
        self.graph = graph
        self.manifest = stages.manifest

    def run(self, **inputs) -> dict[str, np.ndarray]:
        arrays = {name: joined(value) for name, value in inputs.items()}
        shapes = {name: array.shape for name, array in arrays.items()}
        self.stages.runs.append(Run(self.graph.name, shapes))
        if shapes.keys() <= {"pixels", "latents"}:
            return self.zeros(*shapes.values())
        expected = list(self.graph.inputs(TRACED))
        with torch.no_grad():
            outputs = self.graph.module(*(torch.from_numpy(arrays[name]) for name in expected))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return {name: out.float().numpy() for name, out in zip(self.graph.outputs, outputs)}

    def zeros(self, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        (traced,) = self.graph.inputs(TRACED).values()
        with torch.no_grad():
            output = self.graph.module(traced).shape
        sides = [
            side * after // before
            for side, after, before in zip(shape[2:], output[2:], traced.shape[2:])
        ]
        return {self.graph.outputs[0]: np.zeros((shape[0], output[1], *sides), np.float32)}


@pytest.fixture(scope="module", params=NAMES)
def stages(request, tmp_path_factory) -> Iterator[Stages]:
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        checkpoint = make_published(request.param, folder / "checkpoint")
        yield Stages(Checkpoint(checkpoint), folder / "repository")


def family_for(stages: Stages, **changes: object) -> Family:
    settings = stages.part("denoiser").settings(stages.checkpoint)
    name = stages.checkpoint.family
    return family_of(name, settings | SIZES.get(name, {}) | changes)


def photo(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def assert_covered(stages: Stages, part: str, family: Family) -> None:
    """Every run of the stage fits a profile, and there was one of every graph."""
    graphs = {graph.name: graph for graph in stages.part(part).typed_graphs(stages.checkpoint)}
    table = part_profiles(stages.part(part), stages.checkpoint, family)
    assert {run.graph for run in stages.runs} == set(graphs) == set(table)
    for run in stages.runs:
        graph = graphs[run.graph]
        assert any(fits(run, graph, profile) for profile in table[run.graph]), (
            run,
            table[run.graph],
        )


def fits(run: Run, graph: Graph, profile: PartProfile) -> bool:
    example = graph.inputs(profile.usual)
    assert run.shapes.keys() == example.keys()
    for name, shape in run.shapes.items():
        for place, size in enumerate(shape):
            axis = graph.axes[name].get(place)
            low, _, high = profile.limits[axis] if axis else (example[name].shape[place],) * 3
            if not low <= size <= high:
                return False
    return True


def test_usual_inputs_lie_in_their_profile(stages):
    """They are what a plan is checked with."""
    for name in ("vl_parser", "connector", "vae_encoder", "vae_decoder"):
        part = stages.part(name)
        graphs = {graph.name: graph for graph in part.typed_graphs(stages.checkpoint)}
        for graph, profiles in part_profiles(part, stages.checkpoint, family_for(stages)).items():
            batches = [profile.limits["batch"][::2] for profile in profiles]
            assert (1, 1) in batches and max(high for _, high in batches) <= LARGEST
            for profile in profiles:
                if math.prod((profile.usual.height, profile.usual.width)) <= 128 * 128:
                    inputs = graphs[graph].inputs(profile.usual)
                    shapes = {key: tuple(value.shape) for key, value in inputs.items()}
                    assert fits(Run(graph, shapes), graphs[graph], profile)


def test_texts(stages):
    family = family_for(stages)
    folder = stages.open("vl_parser")
    stages.runs.clear()
    if family.has_parser:
        parser = Parser(folder, backend=stages.backend)
        for size, sentence in zip(edit_sizes(family), SENTENCES):
            parser.parse([ParseInput((), photo(size, seed), sentence) for seed in range(2)])
        size = family.size(1, 1)
        parser.parse([ParseInput((), photo(size, seed), SENTENCES[1]) for seed in range(2, 10)])
        parser.parse([ParseInput((), photo(size, 10), SENTENCES[1])])
    else:
        encoder = text_encoder_of(folder, stages.backend)
        most = family.max_references + 1 if family.text_sees_images else 1
        for sentence in SENTENCES:
            for count in {1, min(2, most), most}:
                for size in PHOTO_SIZES:
                    encoder.encode_text(sentence, [photo(size, seed) for seed in range(count)])
        photos = [encoder.prepared(photo((64, 64), seed)) for seed in range(10, 18)]
        encoder.encode_texts([(SENTENCES[1], [pixels]) for pixels in photos])
    assert_covered(stages, "vl_parser", family)
    assert {LARGEST, 1} <= {shape[0] for run in stages.runs for shape in run.shapes.values()}


def test_connector(stages):
    folder = stages.open("connector")
    stages.runs.clear()
    connector = Connector(folder, stages.backend)
    for rows in (1, 2, 8, 20):
        connector.run_rows([np.zeros(connector.queries, np.float32)] * rows)
    assert_covered(stages, "connector", family_for(stages))


def test_autoencoder(stages):
    assert_autoencoder_covered(stages, family_for(stages))


@pytest.mark.parametrize("stages", ["instructx"], indirect=True)
def test_tiles_of_large_images(stages):
    """A checkpoint of InstructX names its sizes, and large images run in tiles."""
    assert_autoencoder_covered(stages, family_for(stages, sizes=[[2048, 1600], [256, 256]]))


def assert_autoencoder_covered(stages: Stages, family: Family) -> None:
    sizes = edit_sizes(family)
    usual = family.size_ranges[0][1]
    images = [
        np.full((*size, 3), row, np.uint8)
        for size in {sizes[0], min(sizes), max(sizes), usual}
        for row in range(2 if size in (sizes[0], usual) else 1)
    ]
    stages.runs.clear()
    encoder = VaeEncoder(stages.open("vae_encoder"), backend=stages.backend)
    latents = encoder.run_rows(images)
    assert_covered(stages, "vae_encoder", family)
    stages.runs.clear()
    VaeDecoder(stages.open("vae_decoder"), stages.backend).run_rows(latents)
    assert_covered(stages, "vae_decoder", family)
