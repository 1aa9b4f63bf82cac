"""A LoRA merged by hand, and that nothing is read before it is written."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from safetensors.numpy import save_file

from retouch_export.adapter import Adapter, Held, LowRank, Merged
from retouch_export.checkpoint import Checkpoint
from retouch_export.lora import AdapterFile
from retouch_export.meta_trace import save
from retouch_export.safetensors_index import stored
from retouch_export.weights import tensor_of

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)
DOWN = np.array([[1, 0, 2, 0], [0, 1, 0, -1]], np.float32)
UP = np.array([[1, 0], [0, 2], [3, 0]], np.float32)


def test_the_formula():
    """W + factor · B A, with the sum in float32 and one rounding."""
    change = LowRank(Held(DOWN), Held(UP), factor=0.5)
    by_hand = WEIGHT + 0.5 * np.array([[1, 0, 2, 0], [0, 2, 0, -2], [3, 0, 6, 0]])
    np.testing.assert_array_equal(Merged(Held(WEIGHT), change).numbers(), by_hand)
    merged = Adapter("a", 1.0, "", {"x.weight": change}).merged(
        {"x.weight": Held(WEIGHT), "x.bias": Held(DOWN)}
    )
    assert isinstance(merged["x.weight"], Merged) and isinstance(merged["x.bias"], Held)
    tensor = tensor_of(merged["x.weight"], "x.weight")
    assert tensor.dtype is ir.DataType.BFLOAT16 and tuple(tensor.shape) == (3, 4)
    np.testing.assert_array_equal(
        tensor.numpy().astype(np.float32), by_hand.astype(ml_dtypes.bfloat16).astype(np.float32)
    )


class Watched:
    """A source that tells when it is read."""

    shape = (64, 64)

    def __init__(self, name, log):
        self.name = name
        self.log = log

    def numbers(self):
        self.log.append(self.name)
        return np.zeros(self.shape, np.float32)


def test_weights_are_merged_one_at_a_time_as_they_are_written(tmp_path):
    """Each is read and let go before the next: what is held at once is one weight and its
    change."""
    log = []
    change = LowRank(Held(np.zeros((2, 64), np.float32)), Held(np.zeros((64, 2), np.float32)), 1.0)
    tensors = [tensor_of(Merged(Watched(name, log), change), name) for name in "abc"]
    values = [
        ir.val(tensor.name, tensor.dtype, tensor.shape, const_value=tensor) for tensor in tensors
    ]
    graph = ir.Graph([], [], nodes=[], initializers=values, opset_imports={"": 20}, name="g")
    assert log == []
    save(
        ir.Model(graph, ir_version=10),
        tmp_path / "step.onnx",
        lambda label: log.append(label.split(": ")[1]),
    )
    asked = [entry for entry in log if entry.startswith("tensor")]
    assert asked == ["tensor 1 of 3", "tensor 2 of 3", "tensor 3 of 3"]
    for number, name in enumerate("abc"):  # read between the words on it and those on the next
        begin = log.index(asked[number])
        end = log.index(asked[number + 1]) if number < 2 else len(log)
        assert set(log[begin + 1 : end]) == {name}


@pytest.mark.parametrize(
    "settings, alphas, factor",
    [
        ({}, {}, 1.0),
        ({"lora_alpha": 8}, {}, 4.0),
        ({"lora_alpha": 8, "use_rslora": True}, {}, 8 / 2**0.5),
        ({}, {"transformer.x.alpha": np.array(6, np.float32)}, 3.0),
        ({"lora_alpha": 8, "alpha_pattern": {"x": 1}}, {}, 0.5),
        ({"lora_alpha": 8, "alpha_pattern": {"y": 1}}, {}, 4.0),
    ],
)
def test_how_strong_an_adapter_is(tmp_path, settings, alphas, factor):
    """alpha / r of rank 2, by its settings or the file's own alphas, times what the user asks
    for."""
    (tmp_path / "transformer").mkdir()
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxKontextPipeline"}))
    save_file(
        {"x.weight": WEIGHT.astype(ml_dtypes.bfloat16)},
        tmp_path / "transformer/diffusion_pytorch_model.safetensors",
    )
    save_file(
        {"transformer.x.lora_A.weight": DOWN, "transformer.x.lora_B.weight": UP} | alphas,
        tmp_path / "a.safetensors",
        {
            "lora_adapter_metadata": json.dumps(
                {f"transformer.{name}": value for name, value in settings.items()}
            )
        },
    )
    adapter = AdapterFile(tmp_path / "a.safetensors", "a", 2.0).read(Checkpoint(tmp_path))
    (change,) = adapter.changes.values()
    assert change.factor == pytest.approx(2 * factor)
    (weight,) = adapter.merged(stored(tmp_path / "transformer")).values()
    np.testing.assert_allclose(weight.numbers(), WEIGHT + 2 * factor * UP @ DOWN, rtol=1e-6)
