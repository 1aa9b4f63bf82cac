"""The rows of Triton's requests as one batch, or one by one."""

from __future__ import annotations

import importlib
import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest

MODULES = ("logging", "responses", "stages")


@dataclass
class Tensor:
    label: str
    value: np.ndarray

    def name(self) -> str:
        return self.label

    def as_numpy(self) -> np.ndarray:
        return self.value


@dataclass
class Request:
    """Triton's, with one input."""

    value: np.ndarray

    def inputs(self) -> list[Tensor]:
        return [Tensor("X", self.value)]

    def request_id(self) -> str:
        return "a1"


@dataclass
class Response:
    tensors: list[Tensor] | None = None
    error: Exception | None = None


class TritonError(Exception):
    INVALID_ARG = 0
    UNAVAILABLE = 0
    CANCELLED = 0
    INTERNAL = 0


@pytest.fixture
def stages(monkeypatch):
    fake = types.ModuleType("triton_python_backend_utils")
    silent = dict.fromkeys(("log_error", "log_warn", "log_info", "log_verbose"), lambda line: None)
    fake.__dict__.update(
        Tensor=Tensor,
        InferenceResponse=Response,
        TritonError=TritonError,
        Logger=types.SimpleNamespace(**silent),
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", fake)
    names = [f"retouch.serving.triton.{name}" for name in MODULES]
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module(names[-1])
    for name in names:
        sys.modules.pop(name, None)


class Doubler:
    """A stage that records how many rows every call has."""

    def __init__(self):
        self.calls: list[int] = []

    def __call__(self, rows):
        self.calls.append(len(rows))
        if any((row["X"] < 0).any() for row in rows):
            raise ValueError("a negative number")
        return [{"Y": 2 * row["X"]} for row in rows]


REQUESTS = [Request(np.full((size, 2), size, np.float32)) for size in (1, 3, 2)]


@pytest.mark.parametrize("batches, calls", ((True, [6]), (False, [1] * 6)))
def test_requests_get_their_own_rows(stages, batches, calls):
    double = Doubler()
    responses = stages.in_batches(REQUESTS, double, batches)
    assert double.calls == calls
    for request, response in zip(REQUESTS, responses):
        (tensor,) = response.tensors
        assert tensor.name() == "Y"
        np.testing.assert_array_equal(tensor.as_numpy(), 2 * request.value)


def test_a_fault_fails_its_own_request_alone(stages):
    double = Doubler()
    faulty = Request(np.full((1, 2), -1, np.float32))
    responses = stages.in_batches([REQUESTS[0], faulty, REQUESTS[1]], double, True)
    assert double.calls == [5, 1, 1, 1, 1, 1]
    assert [response.error is not None for response in responses] == [False, True, False]


def test_rows_of_two_sizes_fail_their_request_alone(stages):
    def grow(rows):
        return [{"Y": np.zeros(int(row["X"][0]))} for row in rows]

    mixed = Request(np.array([[1.0], [2.0]], np.float32))
    responses = stages.in_batches([mixed, REQUESTS[1]], grow, True)
    assert "one resolution" in str(responses[0].error) and responses[1].error is None
