"""One edit from request to answers, over two functions that reach the stages; Triton is not known
here.

`call(model, inputs)` returns a stage's outputs, `stream(model, inputs)` yields them; both take and
give dicts of arrays with a leading batch dimension of 1, and raise RequestError when the stage
refuses."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numpy as np

from retouch.api.request import EditRequest
from retouch.api.response import EditAnswer, EditInfo
from retouch.families.base import Family
from retouch.routing import cancel_socket, load_board
from retouch.routing.router import Choice, choose
from retouch.serving.denoise_params import DenoiseParams
from retouch.serving.denoiser_client import Arrays, DenoiserClient, is_last
from retouch.serving.postprocess import postprocess
from retouch.serving.preprocess import preprocess
from retouch.serving.request_context import RequestContext, nothing
from retouch.serving.source_image import SourceImage
from retouch.util.running_median import RunningMedian


class EditPipeline:
    """Carries edits through the stages, one at a time.

    What needs no network, decoding and encoding, happens here; every network is a model of its own.
    """

    def __init__(
        self,
        call: Callable[[str, Arrays], Arrays],
        stream: Callable[[str, Arrays], Iterator[Arrays]],
        lanes: Callable[[], tuple[str, ...]],
        family: Callable[[], Family],
        versions: dict[str, str] | None = None,
        load: Callable[[str], load_board.LoadReport | None] = load_board.read,
        leave: Callable[[str, str], None] = cancel_socket.drop,
    ):
        """`lanes()` are those loaded now and `family()` is their checkpoint's, `load(lane)` is what
        one has to do and `leave(lane, ticket)` takes an edit out there; `versions` go into every
        EditInfo."""
        self._call = call
        self._stream = stream
        self._lanes = lanes
        self._versions = versions or {}
        self._family = functools.cache(family)
        self._load = load
        self._leave = leave
        self._rest = RunningMedian()  # milliseconds that edits spent outside the denoiser
        self._beside = ThreadPoolExecutor(2, "beside")  # the image encoder, and the watch

    def edit(
        self, request: EditRequest, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[EditAnswer]:
        """Previews as they come, then the final answer; RequestError, or Cancelled when the client
        has left."""
        watch = RequestContext(request.deadline_ms, cancelled)
        minding = self._beside.submit(watch.mind)
        try:
            yield from self._stages(request, watch)
        finally:
            watch.ended.set()
            minding.result()

    def _stages(self, request: EditRequest, watch: RequestContext) -> Iterator[EditAnswer]:
        with watch.stage("preprocess"):
            prepared = preprocess(request, self._choose(request), self._family(), watch.check)
        prepared.info.versions = self._versions
        denoiser = DenoiserClient(self._stream, self._leave, prepared.info.lane)
        tensors = {
            "INSTRUCTION": array(request.instruction),
            "NEGATIVE": array(prepared.negative),
            "IMAGE_FILES": np.array([[request.image, *request.references]], object),
            "PIXELS": prepared.pixels[None],
            "MASK": prepared.mask[None],
            "INFO": array(prepared.info.to_json()),
        }
        try:
            parsed, latents = self._understand(watch, denoiser, tensors)
            more = [
                self._timed(watch, "vae_encoder", {"PIXELS": each[None]}, "PIXELS")["LATENTS"][0]
                for each in prepared.references
            ]
            tensors |= (
                parsed
                | latents
                | self._timed(watch, "connector", parsed, "QUERIES")
                | {"REFERENCE_LATENTS": flat(more)}
            )
            order = DenoiseParams.of(request, watch.left(), prepared.true_cfg, more)
            watch.take_out = denoiser.take_out
            with contextlib.closing(denoiser.edit(order, tensors)) as steps:
                finished = False
                for progress in watch.each("denoiser", steps):
                    finished = is_last(progress)
                    yield self._answer(watch, prepared.source, tensors | progress)
            if not finished:
                watch.check()  # says why it was taken out
        finally:
            watch.take_out = nothing

    def _choose(self, request: EditRequest) -> Choice:
        lanes = self._lanes()
        loads = {lane: self._load(lane) for lane in lanes}
        return choose(
            request.precision, lanes, request.steps, request.deadline_ms, self._rest.median(), loads
        )

    def _understand(
        self, watch: RequestContext, denoiser: DenoiserClient, tensors: Arrays
    ) -> tuple[Arrays, Arrays]:
        """At the same time the parser, and what needs the image alone: its latents and the
        denoiser's reference."""
        latents = self._beside.submit(copy_context().run, self._see, watch, denoiser, tensors)
        try:
            parsed = self._timed(
                watch,
                "vl_parser",
                tensors,
                "PIXELS",
                "IMAGE_FILES",
                "INSTRUCTION",
                "NEGATIVE",
                "MASK",
                "INFO",
            )
        finally:
            latents.exception()  # waits: no call outlives its edit
        return parsed, latents.result()

    def _see(self, watch: RequestContext, denoiser: DenoiserClient, tensors: Arrays) -> Arrays:
        latents = self._timed(watch, "vae_encoder", tensors, "PIXELS")
        if (
            tensors["IMAGE_FILES"].shape[1] == 1
        ):  # with further references it is seen together with them, when all are known
            with watch.stage("reference"):
                denoiser.look(latents)
            # or the next stream would, when everything waits for it
            # (`retouch/serving/triton/stream_workaround.py`)
            watch.ask()
        return latents

    def _answer(self, watch: RequestContext, source: SourceImage, tensors: Arrays) -> EditAnswer:
        picture = tensors["PREVIEW"]
        if is_last(tensors):
            picture = self._timed(watch, "vae_decoder", tensors, "LATENTS")["PIXELS"]
        step = tuple(tensors["STEP"][0].tolist())
        with watch.stage("postprocess"):
            info = EditInfo.from_json(tensors["INFO"][0, 0])
            answer = postprocess(source, tensors["CELLS"][0], picture[0], step, info)
        answer.info.milliseconds = {**watch.milliseconds, "total": round(watch.elapsed(), 2)}
        if answer.final:
            self._rest.add(answer.info.milliseconds["total"] - answer.info.milliseconds["denoiser"])
        return answer

    def _timed(self, watch: RequestContext, model: str, tensors: Arrays, *names: str) -> Arrays:
        watch.check()
        with watch.stage(model):
            return self._call(model, {name: tensors[name] for name in names})


def array(text: str) -> np.ndarray:
    """A text as a [1, 1] array of bytes."""
    return np.array([[text.encode()]], object)


def flat(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """All numbers of some arrays, float32 [1, -1]: a model's tensors have one shape each."""
    return np.concatenate([np.zeros(0, np.float32), *(array.ravel() for array in arrays)])[None]
