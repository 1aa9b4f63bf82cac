"""One edit from request to answers, over two functions that reach the stages; Triton is not known here.

`call(model, inputs)` returns a stage's outputs, `stream(model, inputs)` yields them; both take and give dicts of
arrays with a leading batch dimension of 1, and raise RequestError when the stage refuses.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from retouch.types import (
    INPUTS,
    Cancelled,
    EditAnswer,
    EditInfo,
    EditRequest,
    RequestError,
    choose_lane,
    request_to_values,
)

Arrays = dict[str, np.ndarray]


class Watch:
    """Milliseconds by stage, and the deadline that is looked at between stages and steps."""

    def __init__(self, deadline_ms: int, cancelled: Callable[[], bool]):
        self.begin = time.perf_counter()
        self.deadline_ms = deadline_ms
        self.cancelled = cancelled
        self.milliseconds: dict[str, float] = {}

    def elapsed(self) -> float:
        return (time.perf_counter() - self.begin) * 1000

    def check(self) -> None:
        """Raise when nobody waits any longer."""
        if self.cancelled():
            raise Cancelled
        if 0 < self.deadline_ms < self.elapsed():
            raise RequestError(
                f"DEADLINE_MS {self.deadline_ms} has passed; allow more time or ask for fewer steps",
                "DEADLINE_EXCEEDED",
            )

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        spent = (time.perf_counter() - begin) * 1000
        self.milliseconds[name] = round(self.milliseconds.get(name, 0.0) + spent, 2)

    def each(self, name: str, items: Iterator[Arrays]) -> Iterator[Arrays]:
        """The items, with only the waiting for them counted as the stage's time."""
        while True:
            with self.stage(name):
                item = next(items, None)
            if item is None:
                return
            yield item


class Gate:
    """Carries edits through the stages, one at a time."""

    def __init__(
        self,
        call: Callable[[str, Arrays], Arrays],
        stream: Callable[[str, Arrays], Iterator[Arrays]],
        lanes: tuple[str, ...],
    ):
        self._call, self._stream, self._lanes = call, stream, lanes
        self._beside = ThreadPoolExecutor(1, "beside")

    def edit(self, request: EditRequest, cancelled: Callable[[], bool] = lambda: False) -> Iterator[EditAnswer]:
        """Previews as they come, then the final answer; RequestError, or Cancelled when the client has left."""
        watch = Watch(request.deadline_ms, cancelled)
        lane = choose_lane(request.precision, self._lanes)
        door = arrays_of(request)
        prepared = self._timed(watch, "preprocess", door)
        parsed, latents = self._understand(watch, {**door, **prepared})
        conditioning = self._timed(watch, "connector", parsed, "QUERIES")
        tensors = {**door, **prepared, **parsed, **latents, **conditioning}
        with contextlib.closing(self._denoise(watch, f"denoiser_{lane}", tensors)) as steps:
            for progress in watch.each("denoiser", steps):
                if is_last(progress) or progress["PREVIEW"].size:
                    yield self._answer(watch, {**tensors, **progress})

    def _understand(self, watch: Watch, prepared: Arrays) -> tuple[Arrays, Arrays]:
        """The parser and the image encoder, at the same time."""
        latents = self._beside.submit(self._timed, watch, "vae_encoder", prepared, "PIXELS")
        try:
            parsed = self._timed(watch, "vl_parser", prepared, "PIXELS", "INSTRUCTION", "MASK", "INFO")
        finally:
            latents.exception()  # waits: no call outlives its edit
        return parsed, latents.result()

    def _denoise(self, watch: Watch, model: str, tensors: Arrays) -> Iterator[Arrays]:
        """One call for the whole edit. A stream cannot be dropped, so an edit nobody waits for is taken out by ticket."""
        names = ("LATENTS", "CONDITIONING", "BOXES", "CELLS", "SEED", "STEPS", "GUIDANCE", "PREVIEWS", "INFO")
        own = {"TICKET": array(secrets.token_hex(8)), "SOURCE": np.full((1, 3), b"", object)}  # no need to send it on
        inputs = {name: tensors[name] for name in names} | own
        stream, finished = self._stream(model, inputs), False
        try:
            for progress in stream:
                finished = is_last(progress)
                yield progress
                if not finished:
                    watch.check()
            finished = True
        finally:
            if not finished:
                for _ in self._stream(model, inputs | {"STEPS": np.full((1, 1), -1, np.int32)}):
                    pass
                for _ in stream:
                    pass

    def _answer(self, watch: Watch, tensors: Arrays) -> EditAnswer:
        pixels = {"PIXELS": np.zeros((1, 0, 0, 3), np.uint8)}
        if is_last(tensors):
            pixels = self._timed(watch, "vae_decoder", tensors, "LATENTS")
        names = ("SOURCE", "CELLS", "PIXELS", "PREVIEW", "STEP", "INFO")
        encoded = self._timed(watch, "postprocess", {**tensors, **pixels}, *names)
        info = EditInfo.from_json(encoded["INFO"][0, 0])
        info.milliseconds = {**watch.milliseconds, "total": round(watch.elapsed(), 2)}
        return EditAnswer(encoded["IMAGE"][0, 0], tuple(tensors["STEP"][0].tolist()), info)

    def _timed(self, watch: Watch, model: str, tensors: Arrays, *names: str) -> Arrays:
        watch.check()
        with watch.stage(model):
            return self._call(model, {name: tensors[name] for name in names or tensors})


def is_last(progress: Arrays) -> bool:
    done, steps = progress["STEP"][0].tolist()
    return done == steps


def array(value: bytes | str | int | float, dtype: type = object) -> np.ndarray:
    """One value as a [1, 1] array, text as bytes."""
    value = value.encode() if isinstance(value, str) else value
    return np.array([[value]], dtype=dtype)


DTYPES = {"BYTES": object, "INT32": np.int32, "INT64": np.int64, "FP32": np.float32}


def arrays_of(request: EditRequest) -> Arrays:
    """The door's input tensors of a request."""
    values = request_to_values(request)
    return {tensor.name: array(values[tensor.name], DTYPES[tensor.datatype]) for tensor in INPUTS}
