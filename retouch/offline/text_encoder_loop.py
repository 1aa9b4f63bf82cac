"""One edit as a plain loop over the stages in one process, for families with a text encoder. It is
used for calibration and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retouch.api.answer_format import parse_format
from retouch.api.request import EditRequest
from retouch.artifacts.typed_folder import exported_folder
from retouch.backends.base import BackendFactory
from retouch.backends.onnx import OnnxBackend
from retouch.engine.denoiser import Denoiser
from retouch.families.denoise_request import DenoiseRequest
from retouch.families.text_encoder import text_encoder_of
from retouch.families.vae import VaeDecoder, VaeEncoder
from retouch.imaging import images


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

        self.text_encoder = text_encoder_of(exported_folder(folder("vl_parser"), parser), others)
        self.encoder = VaeEncoder(folder("vae_encoder"), backend=others)
        self.decoder = VaeDecoder(folder("vae_decoder"), others)
        self.denoiser = Denoiser(folder(f"denoiser_{lane}"), backend)

    def edit(self, request: EditRequest) -> bytes:
        """The encoded result, with the size at which the family edits the image."""
        format = parse_format(request.format)
        photos = [
            images.decode(image, first_frame=format.first_frame)
            for image in (request.image, *request.references)
        ]
        *_, last = self.denoiser.run(
            self.request(
                photos,
                request.instruction,
                request.seed,
                request.steps,
                request.guidance,
                request.negative,
                request.true_cfg,
            )
        )
        picture = images.on_white(self.decoder.run(last.result[None])[0])
        return images.encode(picture, format.name, format.quality)

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
        """The denoiser's request for an edit of the first of `photos`, uint8 [H, W, 3 or 4]. The
        others are reference images.

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
