"""The evaluator as the artifact of its Triton model: one ONNX graph and its manifest."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from retouch.artifacts.manifest import FLOAT32, Manifest, publish
from retouch.families.evaluator import GRAPH
from retouch.launcher.server import REPOSITORY
from retouch.networks.evaluator import Evaluator

OPSET = 18
FOLDER = REPOSITORY / "evaluator" / "1"
INPUTS = ("source", "answer", "region", "reading", "boxes")
SIDE = 128  # of the pictures of the trace
LEAST_HALVED = 256  # numbers of a weight that is stored in float16


def write(evaluator: Evaluator, folder: Path = FOLDER) -> None:
    """Write the graph and the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder))
    try:
        _export(evaluator.eval(), staging / f"{GRAPH}.onnx")
        vocabulary = asdict(evaluator.vocabulary)
        settings = {**vocabulary, "version": evaluator.config["version"]}
        publish(staging, folder, Manifest("evaluator", "", "", FLOAT32, OPSET, settings=settings))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _export(evaluator: Evaluator, path: Path) -> None:
    vocabulary = evaluator.vocabulary
    sides = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    picture = torch.rand(1, 3, SIDE, SIDE + 32) * 255
    program = torch.onnx.export(
        evaluator,
        (
            picture,
            picture.flip(2),
            torch.ones(1, 1, SIDE // 16, SIDE // 16 + 2),
            torch.zeros(1, vocabulary.slots, vocabulary.width),
            torch.zeros(1, vocabulary.slots, 2, 4),
        ),
        input_names=list(INPUTS),
        output_names=["logits"],
        dynamic_shapes=(sides, sides, sides, None, None),
        dynamo=True,
        opset_version=OPSET,
        verbose=False,
    )
    program.save(str(path), external_data=False)
    onnx.save(halved(onnx.load(path)), path)


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its large weights in float16, half of the file. ONNX Runtime casts them back
    when it loads them."""
    casts = []
    for tensor in model.graph.initializer:
        numbers = numpy_helper.to_array(tensor)
        if numbers.dtype != np.float32 or numbers.size < LEAST_HALVED:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(numbers.astype(np.float16), f"{name}.float16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
