"""Random tensors for the stages behind the endpoints: right types, wild shapes and numbers."""

from __future__ import annotations

import random

import numpy as np
import tritonclient.grpc as grpc

DTYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP32": np.float32,
    "BYTES": object,
}
WILD = (0.0, 1.0, -1.0, 1e38, -1e38, np.nan, np.inf)
SIDES = (0, 1, 2, 3, 7, 16, 64, 128)
MAX_NUMBERS = 1 << 20  # of one tensor: the attack is bounded


def stage_inputs(rng: random.Random, config: dict) -> list[grpc.InferInput]:
    """Inputs for a model by its config (as JSON); one in ten is left out."""
    batch = 1
    inputs = []
    for spec in config["input"]:
        if rng.random() < 0.02:
            continue
        datatype = spec["data_type"].removeprefix("TYPE_").replace("STRING", "BYTES")
        shape = [batch, *(_side(rng, int(side)) for side in spec["dims"])]
        while np.prod(shape) > MAX_NUMBERS:
            shape[int(np.argmax(shape))] //= 2
        tensor = grpc.InferInput(spec["name"], shape, datatype)
        inputs.append(tensor.set_data_from_numpy(_array(rng, shape, datatype)))
    return inputs


def _side(rng: random.Random, side: int) -> int:
    wild = side < 0 or rng.random() < 0.05
    return rng.choice(SIDES) if wild else side


def _array(rng: random.Random, shape: list[int], datatype: str) -> np.ndarray:
    draw = np.random.default_rng(rng.randrange(2**32))
    if datatype == "BYTES":
        texts = (
            b"",
            b"{}",
            b"[]",
            b'{"act":"edit"}',
            b"null",
            rng.randbytes(50),
            b'{"more":[[1]]}',
        )
        array = np.empty(shape, object)
        array.fill(rng.choice(texts))
        return array
    if datatype == "FP32":
        array = draw.standard_normal(shape).astype(np.float32)
        if rng.random() < 0.5:
            array[draw.random(shape) < 0.2] = rng.choice(WILD)
        return array
    return draw.integers(0, 2 if datatype == "BOOL" else 4, shape).astype(DTYPES[datatype])
