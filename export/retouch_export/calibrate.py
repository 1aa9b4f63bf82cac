"""Calibration: ranges of the activations that enter a lane's narrow layers, over whole edits.

The edits are those of the checkpoint's calibration pairs: an image and an instruction. All steps
count, because activations change with the noise."""

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
from retouch.backends.base import FixedWeights, joined
from retouch.backends.onnx import session
from retouch.backends.onnx_lowering import lower
from retouch.families.registry import class_of
from retouch.offline.plain_loop import PlainLoop
from retouch.offline.text_encoder_loop import TextEncoderLoop
from retouch_export.gptq import products
from retouch_export.linear import linears
from retouch_export.onnx_values import name_of
from retouch_export.ranges import Range, Ranges


@dataclass(frozen=True)
class CalibrationPair:
    image: bytes
    instruction: str


def pairs(checkpoint: Path) -> list[CalibrationPair]:
    """The pairs in `calibration/pairs.jsonl` of a checkpoint, lines of {"image": file,
    "instruction": text}; ValueError.

    `retouch calibrate-data` writes this file."""
    index = Path(checkpoint) / "calibration" / "pairs.jsonl"
    if not index.is_file():
        raise ValueError(
            f"the checkpoint has no calibration/{index.name}: FP8 and FP4 need images and "
            "instructions to measure the ranges of activations with; "
            "`retouch calibrate-data PHOTOS --checkpoint CHECKPOINT` makes it of a folder of photos"
        )
    lines = index.read_text(encoding="utf-8-sig").splitlines()
    rows = [
        _pair(index, number, line) for number, line in enumerate(lines, start=1) if line.strip()
    ]
    if not rows:
        raise ValueError(
            f"calibration/{index.name} is empty; "
            "`retouch calibrate-data` makes it of a folder of photos"
        )
    return rows


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
    """Ranges over edits of `examples` with the bf16 lane `lane` of `repository`."""
    runners: dict[str, CalibrationRunner] = {}

    def runner(folder: Path, graph: str, keep: tuple[str, ...] = ()) -> CalibrationRunner:
        runners[graph] = CalibrationRunner(folder, graph)
        return runners[graph]

    family = read(Path(repository) / f"denoiser_{lane}" / "1").family
    loop = (PlainLoop if class_of(family).has_parser else TextEncoderLoop)(repository, lane, runner)
    for seed, pair in enumerate(examples):
        loop.edit(EditRequest(pair.image, pair.instruction, seed=seed))
    return {name: graph.ranges() for name, graph in runners.items()}


class CalibrationRunner(FixedWeights):
    """Runs a graph and records the ranges of the inputs of its linear layers."""

    workers = 1
    batches = False
    compiles = False

    def __init__(self, folder: Path, graph: str):
        """ArtifactError when the folder does not match its manifest."""
        self.manifest = verify(folder)
        path = Path(folder) / f"{graph}.onnx"
        self.layers = {
            linear.module: name_of(linear.activation) for linear in linears(ir.load(path))
        }
        model = onnx.load(path)
        self.outputs = [output.name for output in model.graph.output]
        self._ranges: dict[str, Range] = {}  # by tensor: several layers may share one
        self._observed = sorted(
            set(self.layers.values())
            - {graph_input.name for graph_input in model.graph.input}
            - set(self.outputs)
        )
        model.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self._observed
        )
        self._session = session(lower(model).SerializeToString())

    def run(self, **arrays: np.ndarray | list[np.ndarray]) -> dict[str, np.ndarray]:
        """As `retouch.backends.onnx.OnnxBackend.run`."""
        inputs = {name: joined(value) for name, value in arrays.items()}
        names = self.outputs + self._observed
        results = dict(zip(names, map(np.asarray, self._session.run(names, inputs))))
        for tensor in set(self.layers.values()):
            self._record(tensor, (results | inputs)[tensor])
        return {name: results[name] for name in self.outputs}

    def ranges(self) -> dict[str, Range]:
        """The ranges over all runs so far, by module."""
        return {module: self._ranges[tensor] for module, tensor in self.layers.items()}

    def _record(self, tensor: str, numbers: np.ndarray) -> None:
        new = Range(float(np.abs(numbers).max()), products(numbers.reshape(-1, numbers.shape[-1])))
        old = self._ranges.get(tensor, Range(0.0, [np.zeros((), np.float32)] * len(new.products)))
        self._ranges[tensor] = Range(
            max(old.largest, new.largest), [a + b for a, b in zip(old.products, new.products)]
        )
