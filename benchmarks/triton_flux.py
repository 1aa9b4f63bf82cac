"""Edits of a `benchmarks.flux.Flux` through tritonserver's Python backend, on loopback."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from benchmarks.flux import Settings, inputs
from benchmarks.timing import Timing
from retouch.launcher.server import HOST, RUNTIME, Server, ServerError

LOG = RUNTIME / "flux.log"
MODEL = Path(__file__).parent / "flux_server"
PATIENCE = 600.0  # seconds for one answer: the first makes and compiles the network
TYPES = {"float32": "FP32", "int32": "INT32"}


@contextlib.contextmanager
def server_of(settings: Settings) -> Iterator[Server]:
    """A server with this one model, in a repository that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="retouch-flux-") as temporary:
        model = Path(temporary) / "flux"
        shutil.copytree(MODEL, model, ignore=shutil.ignore_patterns("__pycache__"))
        settings.write(model / "1")
        with Server(repository=Path(temporary), log=LOG) as server:
            yield server


def edits(
    settings: Settings, steps: int, count: int, warm_up: int = 1
) -> tuple[Timing, np.ndarray]:
    """Seconds a request by the client's clock after `warm_up` requests, and the last answer [N, C].

    Raises ServerError when no server starts or the network fails in it."""
    arrays = {name.upper(): value for name, value in inputs(settings.tiny).items()}
    arrays["STEPS"] = np.array([steps], np.int32)
    samples = []
    with server_of(settings) as server:
        for _ in range(warm_up + count):
            begin = time.perf_counter()
            edited = infer(server.http, arrays)
            samples.append(time.perf_counter() - begin)
    return Timing.of(samples[warm_up:]), edited


def infer(port: int, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """One request over HTTP, tensors as bytes behind the JSON (the protocol's binary tensor
    extension)."""
    inputs_json = [
        {
            "name": name,
            "shape": [1, *array.shape],
            "datatype": TYPES[array.dtype.name],
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in arrays.items()
    ]
    head = json.dumps(
        {
            "inputs": inputs_json,
            "outputs": [{"name": "EDITED", "parameters": {"binary_data": True}}],
        }
    ).encode()
    request = urllib.request.Request(
        f"http://{HOST}:{port}/v2/models/flux/infer",
        b"".join([head, *(array.tobytes() for array in arrays.values())]),
        {
            "Inference-Header-Content-Length": str(len(head)),
            "Content-Type": "application/octet-stream",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            body = answer.read()
            length = int(answer.headers["Inference-Header-Content-Length"])
    except urllib.error.HTTPError as failure:
        raise ServerError(f"the model answered {failure.code}; the log says why: {LOG}") from None
    shape = json.loads(body[:length])["outputs"][0]["shape"]
    return np.frombuffer(body[length:], np.float32).reshape(shape)[0]
