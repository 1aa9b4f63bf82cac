"""One edit as a plain loop over the stages in one process, for families with a text encoder. It is
used for calibration and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from retouch.api.request import EditRequest
from retouch.api.response import EditAnswer
from retouch.artifacts.typed_folder import exported_folder
from retouch.backends.base import BackendFactory
from retouch.backends.onnx import OnnxBackend
from retouch.engine.denoiser import Denoiser
from retouch.families.denoise_request import DenoiseRequest
from retouch.families.text_encoder import text_encoder_of
from retouch.families.vae import VaeDecoder, VaeEncoder
from retouch.imaging import images
from retouch.routing.router import choose
from retouch.serving.postprocess import postprocess
from retouch.serving.preprocess import preprocess, region_of


class TextEncoderLoop:
    """The stages of a model repository, run one after the other."""

    def __init__(
        self,
        repository: Path,
        lane: str = "bf16",
        backend: BackendFactory = OnnxBackend,
        others: BackendFactory = OnnxBackend,
        parser: str = "",
    ):
        """`backend` is the denoiser's, `others` the other stages'. `parser` is the precision of the
        text encoder's graphs; "" are those that every machine runs. ArtifactError, ValueError."""

        def folder(name: str) -> Path:
            return Path(repository) / name / "1"

        self.lane = lane
        self.text_encoder = text_encoder_of(exported_folder(folder("vl_parser"), parser), others)
        self.encoder = VaeEncoder(folder("vae_encoder"), backend=others)
        self.decoder = VaeDecoder(folder("vae_decoder"), others)
        self.denoiser = Denoiser(folder(f"denoiser_{lane}"), backend)

    def edit(self, request: EditRequest) -> bytes:
        """The encoded result, as the server answers it."""
        return self.answer(request).image

    def answer(self, request: EditRequest) -> EditAnswer:
        """The result with its INFO, without times."""
        choice = choose(request.precision, (self.lane,))
        prepared = preprocess(request, choice, self.denoiser.family)
        files = (request.image, *request.references)
        photos = [images.decode(file, first_frame=True) for file in files]  # checked before
        cells = region_of(prepared.mask, np.ones(len(prepared.mask), bool))
        whole = self.request(
            photos,
            request.instruction,
            request.seed,
            request.steps,
            request.guidance,
            request.negative,
            request.true_cfg,
        )
        denoise_request = replace(
            whole,
            region=cells,
            step_cache=request.step_cache,
            find_region=request.finds_region,
            region_cache=request.region_cache,
        )
        *_, last = self.denoiser.run(denoise_request)
        cells = cells if last.cells is None else last.cells
        edited = self.decoder.run(last.result[None])[0]
        return postprocess(prepared.source, cells, edited, (last.step, last.steps), prepared.info)

    def request(
        self,
        photos: Sequence[np.ndarray],
        instruction: str,
        seed: int,
        steps: int = 0,
        guidance: float = 0.0,
        negative: str = "",
        true_cfg: float = 0.0,
    ) -> DenoiseRequest:
        """The denoiser's request for an edit of all of the first of `photos`, uint8 [H, W, 3 or 4].
        The others are reference images.

        `negative` "" and `true_cfg` 0 are the family's defaults. Up to a `true_cfg` of 1 a negative
        instruction has no effect."""
        family = self.denoiser.family
        true_cfg = true_cfg or family.true_cfg
        negative_text = (negative or family.negative) if true_cfg > 1 else None
        source, *extra_references = (
            self.encoder.run(images.fit(photo, family.size(*photo.shape[:2]))[None])[0]
            for photo in photos
        )
        rows, columns = family.grid(source)
        photos = [images.on_white(photo) for photo in photos]
        return DenoiseRequest(
            source,
            self.text_encoder.encode_text(instruction, photos),
            np.ones(rows * columns, bool),
            seed,
            steps,
            guidance,
            extra_references=tuple(extra_references),
            negative=None
            if negative_text is None
            else self.text_encoder.encode_text(negative_text, photos),
            true_cfg=true_cfg,
        )
