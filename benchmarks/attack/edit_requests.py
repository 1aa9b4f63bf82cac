"""Edit requests to the three endpoints, each wrong in one to three places."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import tritonclient.grpc as grpc

from benchmarks.attack.pictures import TEXTS, broken_picture, picture
from retouch.api.fields import FIELDS
from retouch.api.request import EditRequest, request_to_values

INTEGERS = (-(2**31), -1, 0, 1, 2, 7, 50, 51, 10**9, 2**31 - 1)
NUMBERS = (-1.0, 0.0, 0.5, 1.0, 11.0, 1e30, float("nan"), float("inf"), -float("inf"))
DTYPES = {"BYTES": object, "INT32": np.int32, "INT64": np.int64, "FP32": np.float32}
ENUMS = (b"auto", b"full", b"best", b"fp8", b"BF16", b"jpeg;quality=0", b"webp;base64", b"gif", b"")
SHAPES = ((1, 1), (1, 1), (1, 1), (1, 2), (2, 1), (1, 0), (1,), (1, 1, 1))


def edit_inputs(rng: random.Random) -> list[grpc.InferInput]:
    """The inputs of one edit: some are absent, malformed, of another type or shape, or present
    twice."""
    values = _plain_values(rng)
    tensors = {tensor.name: tensor.datatype for tensor in FIELDS}
    names = list(values)
    for name in rng.sample(list(tensors), rng.randint(0, 3)):
        values[name] = _odd_value(rng, tensors[name])
        names.append(name) if name not in names else None
    if rng.random() < 0.1:
        names.remove(rng.choice(names))
    if rng.random() < 0.05:
        names.append(rng.choice(names))
    inputs = []
    for name in names:
        datatype = rng.choice(list(DTYPES)) if rng.random() < 0.03 else tensors[name]
        shape = rng.choice(SHAPES) if rng.random() < 0.08 else (1, 1)
        inputs.append(_input(name, datatype, shape, values[name]))
    if rng.random() < 0.05:
        inputs.append(_input(rng.choice(("X", "image", "IMAGE ", "\0")), "INT32", (1, 1), 1))
    return inputs


def _plain_values(rng: random.Random) -> dict[str, Any]:
    request = EditRequest(picture(rng), TEXTS[0], steps=rng.randint(1, 3))
    return request_to_values(request)


def _odd_value(rng: random.Random, datatype: str) -> Any:
    if datatype == "FP32":
        return rng.choice(NUMBERS)
    if datatype != "BYTES":
        return rng.choice(INTEGERS)
    text = rng.choice(TEXTS).encode("utf-8", "surrogatepass")
    return rng.choice((broken_picture(rng), text, rng.choice(ENUMS), rng.randbytes(40)))


def _input(name: str, datatype: str, shape: tuple[int, ...], value: Any) -> grpc.InferInput:
    dtype = DTYPES[datatype]
    if dtype is object:
        value = value if isinstance(value, bytes) else str(value).encode()
    elif isinstance(value, bytes):
        value = len(value)
    array = np.empty(shape, dtype)
    with np.errstate(all="ignore"):
        array.fill(value if dtype is object else np.array(value).astype(dtype))
    tensor = grpc.InferInput(name, list(shape), datatype)
    return tensor.set_data_from_numpy(array)
