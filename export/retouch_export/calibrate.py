"""Ranges of the activations that enter a lane's narrow layers, over whole edits of a checkpoint's
calibration pairs.

A pair is an image and a sentence; every step of its edit counts, because activations grow and
shrink with the noise."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper

from retouch.api.request import EditRequest
from retouch.artifacts.manifest import read, verify
from retouch.backends.base import joined
from retouch.backends.onnx import session
from retouch.backends.onnx_lowering import lower
from retouch.families.registry import class_of
from retouch.offline.plain_loop import PlainLoop
from retouch.offline.text_encoder_loop import TextEncoderLoop
from retouch_export.gptq import products
from retouch_export.linear import linears
from retouch_export.ranges import Range, Ranges


@dataclass(frozen=True)
class CalibrationPair:
    image: bytes
    instruction: str


def pairs(checkpoint: Path) -> list[CalibrationPair]:
    """Of `calibration/pairs.jsonl` in a checkpoint, as `retouch calibrate-data` writes it: lines of
    {"image": file, "instruction": sentence}; ValueError."""
    index = Path(checkpoint) / "calibration" / "pairs.jsonl"
    if not index.is_file():
        raise ValueError(
            f"the checkpoint has no calibration/{index.name}: FP8 and FP4 need images and sentences to "
            "find the ranges of activations with; `retouch calibrate-data PHOTOS --checkpoint CHECKPOINT` "
            "makes it of a folder of photos"
        )
    lines = index.read_text(encoding="utf-8-sig").splitlines()
    found = [
        _pair(index, number, line) for number, line in enumerate(lines, start=1) if line.strip()
    ]
    if not found:
        raise ValueError(
            f"calibration/{index.name} is empty; `retouch calibrate-data` makes it of a folder of photos"
        )
    return found


def _pair(index: Path, number: int, line: str) -> CalibrationPair:
    try:
        row = json.loads(line)
        image = str(row["image"])
        instruction = str(row["instruction"])
    except (ValueError, TypeError, KeyError):
        raise ValueError(
            f"line {number} of calibration/{index.name} is no JSON object with the names image and "
            "instruction"
        ) from None
    try:
        return CalibrationPair((index.parent / image).read_bytes(), instruction)
    except OSError:
        raise ValueError(
            f"line {number} of calibration/{index.name} names {image}, which cannot be read"
        ) from None


def calibrate(repository: Path, examples: Iterable[CalibrationPair], lane: str = "bf16") -> Ranges:
    """Ranges over edits of `examples` by a bf16 lane of `repository`."""
    watched: dict[str, Watched] = {}

    def runner(folder: Path, graph: str, keep: tuple[str, ...] = ()) -> Watched:
        watched[graph] = Watched(folder, graph)
        return watched[graph]

    family = read(Path(repository) / f"denoiser_{lane}" / "1").family
    loop = (PlainLoop if class_of(family).has_parser else TextEncoderLoop)(repository, lane, runner)
    for seed, pair in enumerate(examples):
        loop.edit(EditRequest(pair.image, pair.instruction, seed=seed))
    return {name: graph.ranges() for name, graph in watched.items()}


class Watched:
    """A graph that also answers every linear layer's input, and keeps what quantising the layer
    takes to know."""

    workers = 1

    def __init__(self, folder: Path, graph: str):
        """ArtifactError when the folder is not what its manifest says."""
        self.manifest = verify(folder)
        path = Path(folder) / f"{graph}.onnx"
        self.layers = {linear.module: linear.activation.name for linear in linears(ir.load(path))}
        model = onnx.load(path)
        self.outputs = [output.name for output in model.graph.output]
        self._seen: dict[str, Range] = {}  # by tensor: several layers share one
        self._watch = sorted(
            set(self.layers.values())
            - {each.name for each in model.graph.input}
            - set(self.outputs)
        )
        model.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self._watch
        )
        self._session = session(lower(model).SerializeToString())

    def run(self, **given: np.ndarray | list[np.ndarray]) -> dict[str, np.ndarray]:
        """As `retouch.backends.onnx.OnnxBackend.run`."""
        inputs = {name: joined(value) for name, value in given.items()}
        got = dict(
            zip(self.outputs + self._watch, self._session.run(self.outputs + self._watch, inputs))
        )
        for tensor in set(self.layers.values()):
            self._see(tensor, (got | inputs)[tensor])
        return {name: got[name] for name in self.outputs}

    def ranges(self) -> dict[str, Range]:
        """Of all that was run so far, by module."""
        return {module: self._seen[tensor] for module, tensor in self.layers.items()}

    def _see(self, tensor: str, numbers: np.ndarray) -> None:
        new = Range(float(np.abs(numbers).max()), products(numbers.reshape(-1, numbers.shape[-1])))
        old = self._seen.get(tensor, Range(0.0, [np.float32(0)] * len(new.products)))
        self._seen[tensor] = Range(
            max(old.largest, new.largest), [a + b for a, b in zip(old.products, new.products)]
        )
