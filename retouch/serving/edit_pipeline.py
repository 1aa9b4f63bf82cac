"""The pipeline of an edit, from request to answers, over two functions that reach the other models.
It does not know Triton.

`call(model, inputs)` returns a model's outputs, `stream(model, inputs)` yields them. Inputs and
outputs are dicts of arrays with a leading batch dimension of 1. Both raise RequestError when the
model refuses."""

from __future__ import annotations

import contextlib
import math
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numpy as np

from retouch.api.request import EditRequest
from retouch.api.response import EditAnswer, EditInfo
from retouch.families.base import Family
from retouch.families.denoise_request import Arrays
from retouch.routing import cancel_socket, load_board
from retouch.routing.router import Choice, choose
from retouch.serving import on_unknown, scoring
from retouch.serving.denoise_params import DenoiseParams, flatten
from retouch.serving.denoiser_client import DenoiserClient, is_last
from retouch.serving.postprocess import postprocess
from retouch.serving.preprocess import Prepared, preprocess
from retouch.serving.request_context import RequestContext, do_nothing
from retouch.serving.scoring import Scorer
from retouch.serving.source_image import SourceImage
from retouch.util.running_median import RunningMedian

NO_PIXELS = np.zeros((0, 0, 3), np.uint8)


class EditPipeline:
    """Runs one edit at a time. Decoding and encoding happen here; every network is a model of its
    own."""

    def __init__(
        self,
        call: Callable[[str, Arrays], Arrays],
        stream: Callable[[str, Arrays], Iterator[Arrays]],
        lanes: Callable[[], tuple[str, ...]],
        family: Callable[[str], Family],
        versions: dict[str, str] | None = None,
        load: Callable[[str], load_board.LoadReport | None] = load_board.read,
        send_cancel: Callable[[str, str], None] = cancel_socket.send_cancel,
        score_share: float = 0.0,
    ):
        """`lanes()` are the lanes loaded now, `family(lane)` the lane's family, `load(lane)` its
        load report. `send_cancel(lane, request_id)` cancels an edit there. `versions` go
        into every EditInfo. A `score_share` of the results are scored after they are sent."""
        self._call = call
        self._stream = stream
        self._lanes = lanes
        self._family = family
        self._versions = versions or {}
        self._load = load
        self._send_cancel = send_cancel
        self._score_share = score_share
        self._other_stages_ms = RunningMedian()  # of an edit outside of the denoiser
        self._threads = ThreadPoolExecutor(2, "edit")  # for the poll and the image encoder

    def edit(
        self, request: EditRequest, is_disconnected: Callable[[], bool] = lambda: False
    ) -> Iterator[EditAnswer]:
        """Previews as they come, then the result. RequestError, or Cancelled when the client has
        left."""
        context = RequestContext(request.deadline_ms, is_disconnected)
        polling = self._threads.submit(context.poll)
        try:
            yield from self._run(request, context)
        finally:
            context.ended.set()
            polling.result()

    def _run(self, request: EditRequest, context: RequestContext) -> Iterator[EditAnswer]:
        with context.stage("preprocess"):
            choice = self._choose_lane(request)
            prepared = preprocess(request, choice, self._family(choice.lane), context.check)
        prepared.info.versions = self._versions
        denoiser = DenoiserClient(self._stream, self._send_cancel, choice.lane)
        parsed, info, latents = self._encode(request, prepared, context, denoiser)
        if info.asks_for_nothing:
            yield self._unchanged(context, prepared.source, info)
            return
        inputs = {name: parsed[name] for name in ("QUERIES", "INFO")}
        prompt = parsed | self._stage(context, "connector", inputs)
        references = [self._encode_image(context, pixels)[0] for pixels in prepared.references]
        tensors = prompt | {"LATENTS": latents, "REFERENCE_LATENTS": flatten(references)[None]}
        target_shape = ()
        if prepared.source.size:  # all of the result is new
            tensors["CELLS"] = np.ones((1, math.prod(prepared.source.grid)), bool)
            target_shape, _ = prepared.family.shapes(prepared.source.size, 1)
        params = DenoiseParams.of(
            request, context.remaining_ms(), prepared.true_cfg, references, target_shape
        )
        is_sampled = random.random() < self._score_share
        scorer = Scorer(self._call, prepared.pixels, bool(request.score), is_sampled)
        yield from self._denoise(context, prepared.source, denoiser, params, tensors, scorer)
        scorer.finish()  # the answer is sent already

    def _choose_lane(self, request: EditRequest) -> Choice:
        lanes = self._lanes()
        return choose(
            request.precision,
            lanes,
            request.steps,
            request.deadline_ms,
            self._other_stages_ms.median(),
            {lane: self._load(lane) for lane in lanes},
        )

    def _encode(
        self,
        request: EditRequest,
        prepared: Prepared,
        context: RequestContext,
        denoiser: DenoiserClient,
    ) -> tuple[Arrays, EditInfo, np.ndarray]:
        """The parser's tensors and INFO, and the source image's latents [1, C, h, w], computed at
        the same time. RequestError for an instruction that is refused; the next one finds its
        source in the caches."""
        needs_denoiser = threading.Event()
        needs_denoiser.set()
        encoding = self._threads.submit(
            copy_context().run,
            self._encode_source,
            prepared,
            context,
            denoiser,
            request.adapter,
            needs_denoiser.is_set,
        )
        try:
            parsed, info = self._parse(request, prepared, context)
            if info.asks_for_nothing:
                needs_denoiser.clear()
        except BaseException:
            needs_denoiser.clear()
            raise
        finally:
            encoding.exception()  # waits: no call outlives its edit
        return parsed, info, encoding.result()

    def _parse(
        self, request: EditRequest, prepared: Prepared, context: RequestContext
    ) -> tuple[Arrays, EditInfo]:
        """QUERIES of the instruction, the cells to edit, and what else the parser finds, with INFO;
        RequestError for an instruction that ON_UNKNOWN refuses."""
        inputs = {
            "PIXELS": prepared.pixels[None],
            "MASK": prepared.mask[None],
            "INSTRUCTION": string_tensor(prepared.instruction),
            "INFO": string_tensor(prepared.info.to_json()),
        }
        if prepared.negative is not None:
            inputs["NEGATIVE"] = string_tensor(prepared.negative)
        if prepared.family.text_sees_images:
            inputs["IMAGE_FILES"] = np.array([[request.image, *request.references]], object)
        parsed = self._stage(context, "vl_parser", inputs)
        info = EditInfo.from_json(parsed["INFO"][0, 0])
        on_unknown.apply(request.on_unknown, info)
        return parsed | {"INFO": string_tensor(info.to_json())}, info

    def _encode_source(
        self,
        prepared: Prepared,
        context: RequestContext,
        denoiser: DenoiserClient,
        adapter: str,
        needs_denoiser: Callable[[], bool],
    ) -> np.ndarray:
        """The source image's latents. A denoiser that caches references prefills them meanwhile,
        unless it needs the latents of reference images or the text before an image too."""
        latents = self._encode_image(context, prepared.vae_pixels)
        family = prepared.family
        is_prefilled = family.caches_reference and not family.is_block_causal
        if is_prefilled and not prepared.references and needs_denoiser():
            with context.stage("reference"):
                denoiser.prefill(latents, adapter)
            # otherwise the next stream would ask, and the edit would wait for it
            # (`retouch/serving/triton/stream_workaround.py`)
            context.poll_client()
        return latents

    def _encode_image(self, context: RequestContext, pixels: np.ndarray) -> np.ndarray:
        """Pixels uint8 [H, W, 3 or 4] → latents [1, C, h, w]."""
        return self._stage(context, "vae_encoder", {"PIXELS": pixels[None]})["LATENTS"]

    def _denoise(
        self,
        context: RequestContext,
        source: SourceImage,
        denoiser: DenoiserClient,
        params: DenoiseParams,
        tensors: Arrays,
        scorer: Scorer,
    ) -> Iterator[EditAnswer]:
        context.cancel = denoiser.cancel
        try:
            with contextlib.closing(denoiser.denoise(params, tensors)) as answers:
                finished = False
                for answer in context.timed("denoiser", answers):
                    finished = is_last(answer)
                    yield self._answer(context, source, tensors | answer, scorer)
            if not finished:
                context.check()  # raises the reason of the cancellation
        finally:
            context.cancel = do_nothing

    def _answer(
        self,
        context: RequestContext,
        source: SourceImage,
        tensors: Arrays,
        scorer: Scorer,
    ) -> EditAnswer:
        """The answer to send, of a denoiser's answer."""
        pixels = tensors["PREVIEW"]
        if is_last(tensors):
            pixels = self._stage(context, "vae_decoder", {"LATENTS": tensors["LATENTS"]})["PIXELS"]
        step = tuple(tensors["STEP"][0].tolist())
        with context.stage("postprocess"):
            info = EditInfo.from_json(tensors["INFO"][0, 0])
            answer = postprocess(source, tensors["CELLS"][0], pixels[0], step, info)
        if answer.final:
            with context.stage(scoring.MODEL) if scorer.is_asked else contextlib.nullcontext():
                scorer.take(pixels[0], tensors["CELLS"][0], tensors["BOXES"][0], info)
        milliseconds = _finish(answer, context)
        if answer.final:
            self._other_stages_ms.add(milliseconds["total"] - milliseconds["denoiser"])
        return answer

    def _unchanged(
        self, context: RequestContext, source: SourceImage, info: EditInfo
    ) -> EditAnswer:
        """The answer to an instruction that asks for nothing: the source image, in no steps."""
        with context.stage("postprocess"):
            no_cells = np.zeros(math.prod(source.grid), bool)
            answer = postprocess(source, no_cells, NO_PIXELS, (0, 0), info)
        _finish(answer, context)
        return answer

    def _stage(self, context: RequestContext, model: str, inputs: Arrays) -> Arrays:
        """The outputs of another model, with its time."""
        context.check()
        with context.stage(model):
            return self._call(model, inputs)


def _finish(answer: EditAnswer, context: RequestContext) -> dict[str, float]:
    """Put the request's id and the milliseconds by stage into INFO, and return the latter."""
    answer.info.request_id = context.request_id
    answer.info.milliseconds = context.milliseconds | {"total": round(context.elapsed_ms(), 2)}
    return answer.info.milliseconds


def string_tensor(text: str) -> np.ndarray:
    """A text as a [1, 1] array of bytes."""
    return np.array([[text.encode()]], object)
