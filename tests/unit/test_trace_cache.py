"""The cache of traced graphs: found again, never in the way, and bounded."""

import os

import onnx_ir as ir
import pytest
import torch
from torch import nn

from retouch_export import trace, trace_cache
from retouch_export.graph import Graph, Shape
from retouch_export.graph_check import check
from retouch_export.loaded import export

SHAPES = (Shape(1, 16, 16, 1, 5), Shape(3, 16, 16, 1, 9))


def graph(seed=0, factor=2.0):
    """Of a module with a parameter, a buffer and a constant."""
    torch.manual_seed(seed)

    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)
            self.factor = factor
            self.register_buffer("mean", torch.randn(3))

        def forward(self, tokens):
            return self.linear(tokens).sigmoid() * self.factor + self.mean

    module = Module().eval().requires_grad_(False)

    def inputs(shape):
        return {"tokens": torch.randn(shape.batch, shape.region, 4)}

    return Graph("model", module, inputs, {"tokens": {0: "batch", 1: "region"}}, ("result",))


@pytest.fixture(scope="session")
def entry():
    made = graph()
    return trace._entry(made, made.inputs(SHAPES[1]))


@pytest.fixture
def traces(monkeypatch, entry):
    """How often torch was asked; it answers what it has traced once."""
    asked = []
    monkeypatch.setattr(trace, "_entry", lambda graph, inputs: asked.append(graph) or entry)
    return asked


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv(trace_cache.FOLDER, str(tmp_path / "graphs"))
    return tmp_path / "graphs"


def entries(cache):
    return sorted(path.name for path in cache.iterdir())


def test_a_graph_is_traced_once_and_has_the_weights_of_its_module(cache, traces, tmp_path):
    for seed in range(3):
        export(graph(seed), tmp_path / f"{seed}.onnx")
        check(graph(seed), tmp_path / f"{seed}.onnx", SHAPES)
    assert len(traces) == 1 and [name.endswith(".onnx.gz") for name in entries(cache)] == [True]


def test_another_network_is_traced_for_itself(cache, traces, tmp_path):
    for factor in (2.0, 3.0):
        export(graph(factor=factor), tmp_path / "model.onnx")
    assert len(traces) == 2 and len(entries(cache)) == 2


def test_an_entry_has_no_weights_and_no_paths(entry):
    model = trace_cache.unpacked(entry)
    weights = {name: value.const_value for name, value in model.graph.initializers.items()}
    for name in ("linear.weight", "linear.bias", "mean"):
        assert isinstance(weights[name], ir.ExternalTensor)
    assert not [node for node in model.graph if trace.STACK in node.metadata_props]


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: entry[:-9],
        lambda entry: b"",
        lambda entry: b"no gzip at all",
        lambda entry: entry[:200] + b"\0" * 50 + entry[250:],
    ],
)
def test_a_damaged_entry_is_made_again(cache, traces, tmp_path, damage):
    export(graph(), tmp_path / "model.onnx")
    (name,) = entries(cache)
    whole = (cache / name).read_bytes()
    expected = (tmp_path / "model.onnx").read_bytes()
    (cache / name).write_bytes(damage(whole))
    export(graph(), tmp_path / "model.onnx")
    assert len(traces) == 2 and (cache / name).read_bytes() == whole
    assert (tmp_path / "model.onnx").read_bytes() == expected


def test_it_can_be_switched_off(monkeypatch, traces, tmp_path):
    monkeypatch.setenv(trace_cache.FOLDER, "0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for _ in range(2):
        export(graph(), tmp_path / "model.onnx")
    assert len(traces) == 2 and not (tmp_path / "cache").exists()


def test_it_lies_in_the_users_cache(monkeypatch, traces, tmp_path):
    monkeypatch.delenv(trace_cache.FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    export(graph(), tmp_path / "model.onnx")
    assert len(entries(tmp_path / "cache" / "retouch" / "graphs")) == 1


def test_a_folder_that_cannot_be_made_is_no_failure(monkeypatch, traces, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv(trace_cache.FOLDER, str(tmp_path / "file" / "graphs"))
    export(graph(), tmp_path / "model.onnx")
    check(graph(), tmp_path / "model.onnx", SHAPES)


def test_what_was_used_longest_ago_goes(monkeypatch, cache, entry):
    monkeypatch.setattr(trace_cache, "LIMIT", 3 * len(entry))
    for number in range(3):
        trace_cache.store(str(number), entry)
        os.utime(cache / f"{number}.onnx.gz", (number, number))
    assert trace_cache.load("0") is not None  # used now
    trace_cache.store("3", entry)
    assert entries(cache) == ["0.onnx.gz", "2.onnx.gz", "3.onnx.gz"]
