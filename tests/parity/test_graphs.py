"""Every ONNX graph against torch, at one more size than the export tries, and a row alone and in a
batch."""

import numpy as np
import pytest
import torch

from retouch.artifacts.manifest import FLOAT32, verify
from retouch.backends.onnx import OnnxBackend
from retouch_export.graph import Shape
from retouch_export.graph_check import TOLERANCE, check
from retouch_export.parts import stages_of

OTHER = Shape(batch=8, height=160, width=96, text=23, region=33)
PAIRS = ("vl_parser", "denoiser")  # stages of two graphs
STAGES = stages_of("instructx")
GRAPHS = [(stage, index) for stage in STAGES for index in range(2 if stage.name in PAIRS else 1)]


@pytest.fixture(scope="module")
def graphs(checkpoint):
    made = {stage.name: stage.part().graphs(checkpoint) for stage in STAGES}
    assert sum(map(len, made.values())) == len(GRAPHS)
    return made


@pytest.mark.parametrize(
    "stage, index", GRAPHS, ids=[f"{stage.name}-{index}" for stage, index in GRAPHS]
)
def test_graph_equals_torch(graphs, repository, stage, index):
    folder = stage.folder(repository, "bf16")
    graph = graphs[stage.name][index]
    manifest = verify(folder)
    arithmetic = "bfloat16" if stage.name == "denoiser" else FLOAT32
    assert (manifest.family, manifest.precision, manifest.arithmetic) == (
        "instructx",
        "bf16",
        arithmetic,
    )
    assert check(graph, folder / graph.file, (OTHER,)) <= TOLERANCE


@pytest.mark.parametrize("threads", ("1", "2"))
@pytest.mark.parametrize(
    "stage, index", GRAPHS, ids=[f"{stage.name}-{index}" for stage, index in GRAPHS]
)
def test_row_is_the_same_alone_and_among_others(
    graphs, repository, stage, index, threads, monkeypatch
):
    """Bit for bit: the same seed gives the same image whatever else is in the batch."""
    monkeypatch.setenv("RETOUCH_THREADS", threads)
    graph = graphs[stage.name][index]
    runner = OnnxBackend(stage.folder(repository, "bf16"), graph.name)
    inputs = graph.inputs(OTHER)
    together = runner.run(**{name: value.numpy() for name, value in inputs.items()})
    for row in (0, OTHER.batch - 1):
        alone = runner.run(
            **{name: _row(value, graph.axes[name], row) for name, value in inputs.items()}
        )
        for name, value in alone.items():
            np.testing.assert_array_equal(value[0], together[name][row], err_msg=name)


def _row(value: torch.Tensor, axes: dict[int, str], row: int) -> np.ndarray:
    batch = next((axis for axis, name in axes.items() if name == "batch"), None)
    return (
        value.numpy()
        if batch is None
        else np.ascontiguousarray(value.narrow(batch, row, 1).numpy())
    )
