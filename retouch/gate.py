"""One edit from request to answers, over two functions that reach the stages; Triton is not known here.

`call(model, inputs)` returns a stage's outputs, `stream(model, inputs)` yields them; both take and give dicts of
arrays with a leading batch dimension of 1, and raise RequestError when the stage refuses.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from retouch.postprocess import postprocess
from retouch.preprocess import preprocess
from retouch.source import Source
from retouch.types import INPUTS, EditAnswer, EditInfo, EditRequest, request_to_values
from retouch.watch import Watch

Arrays = dict[str, np.ndarray]


class Gate:
    """Carries edits through the stages, one at a time.

    What needs no network, decoding and encoding, happens here; every network is a model of its own.
    """

    def __init__(
        self,
        call: Callable[[str, Arrays], Arrays],
        stream: Callable[[str, Arrays], Iterator[Arrays]],
        lanes: tuple[str, ...],
        versions: dict[str, str] | None = None,
    ):
        """`versions` go into every answer's EditInfo."""
        self._call, self._stream, self._lanes, self._versions = call, stream, lanes, versions or {}
        self._beside = ThreadPoolExecutor(2, "beside")  # the image encoder, and the watch

    def edit(self, request: EditRequest, cancelled: Callable[[], bool] = lambda: False) -> Iterator[EditAnswer]:
        """Previews as they come, then the final answer; RequestError, or Cancelled when the client has left."""
        watch = Watch(request.deadline_ms, cancelled)
        minding = self._beside.submit(watch.mind)
        try:
            yield from self._stages(request, watch)
        finally:
            watch.ended.set()
            minding.result()

    def _stages(self, request: EditRequest, watch: Watch) -> Iterator[EditAnswer]:
        with watch.stage("preprocess"):
            prepared = preprocess(request, self._lanes)
        prepared.info.versions = self._versions
        tensors = arrays_of(request) | {
            "PIXELS": prepared.pixels[None], "MASK": prepared.mask[None], "INFO": array(prepared.info.to_json())}
        parsed, latents = self._understand(watch, tensors)
        tensors |= parsed | latents | self._timed(watch, "connector", parsed, "QUERIES")
        with contextlib.closing(self._denoise(watch, f"denoiser_{prepared.info.lane}", tensors)) as steps:
            for progress in watch.each("denoiser", steps):
                yield self._answer(watch, prepared.source, tensors | progress)

    def _understand(self, watch: Watch, prepared: Arrays) -> tuple[Arrays, Arrays]:
        """The parser and the image encoder, at the same time."""
        latents = self._beside.submit(self._timed, watch, "vae_encoder", prepared, "PIXELS")
        try:
            parsed = self._timed(watch, "vl_parser", prepared, "PIXELS", "INSTRUCTION", "MASK", "INFO")
        finally:
            latents.exception()  # waits: no call outlives its edit
        return parsed, latents.result()

    def _denoise(self, watch: Watch, model: str, tensors: Arrays) -> Iterator[Arrays]:
        """One call for the whole edit. A stream cannot be dropped, so one nobody waits for is taken out by ticket."""
        names = ("LATENTS", "CONDITIONING", "BOXES", "CELLS", "SEED", "STEPS", "GUIDANCE", "PREVIEWS", "INFO")
        own = {"TICKET": array(secrets.token_hex(8)), "SOURCE": np.full((1, 3), b"", object)}  # no need to send it on
        inputs = {name: tensors[name] for name in names} | own
        stream, last = self._stream(model, inputs), False

        def take_out() -> None:
            for _ in self._stream(model, inputs | {"STEPS": np.full((1, 1), -1, np.int32)}):
                pass

        watch.take_out = take_out
        try:
            for progress in stream:
                last = is_last(progress)
                yield progress
            watch.check()  # says why it was taken out
        finally:
            watch.take_out = lambda: None
            if not last:
                take_out()
                for _ in stream:
                    pass

    def _answer(self, watch: Watch, source: Source, tensors: Arrays) -> EditAnswer:
        picture = tensors["PREVIEW"]
        if is_last(tensors):
            picture = self._timed(watch, "vae_decoder", tensors, "LATENTS")["PIXELS"]
        step = tuple(tensors["STEP"][0].tolist())
        with watch.stage("postprocess"):
            info = EditInfo.from_json(tensors["INFO"][0, 0])
            answer = postprocess(source, tensors["CELLS"][0], picture[0], step, info)
        answer.info.milliseconds = {**watch.milliseconds, "total": round(watch.elapsed(), 2)}
        return answer

    def _timed(self, watch: Watch, model: str, tensors: Arrays, *names: str) -> Arrays:
        watch.check()
        with watch.stage(model):
            return self._call(model, {name: tensors[name] for name in names})


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
