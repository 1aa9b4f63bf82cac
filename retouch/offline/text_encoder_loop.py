"""One edit of a family with a reader, as a plain loop over the stages in one process: what is
calibrated and compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retouch.api.request import EditRequest, parse_format
from retouch.backends.base import Opener
from retouch.backends.onnx import OnnxRunner
from retouch.engine.denoiser import Denoiser
from retouch.families.denoise_request import DenoiseRequest
from retouch.families.text_encoder import text_encoder_of
from retouch.families.vae import VaeDecoder, VaeEncoder
from retouch.imaging import images


class TextEncoderLoop:
    """The stages of a model repository, one after the other."""

    def __init__(
        self,
        repository: Path,
        lane: str = "bf16",
        runner: Opener = OnnxRunner,
        others: Opener = OnnxRunner,
    ):
        """`runner` is the denoiser's, `others` the other stages'; ArtifactError, ValueError."""

        def folder(name: str) -> Path:
            return Path(repository) / name / "1"

        self.reader = text_encoder_of(folder("vl_parser"), others)
        self.encoder = VaeEncoder(folder("vae_encoder"), runner=others)
        self.decoder = VaeDecoder(folder("vae_decoder"), others)
        self.denoiser = Denoiser(folder(f"denoiser_{lane}"), runner)

    def edit(self, request: EditRequest) -> bytes:
        """The encoded result, as large as the family edits an image of that shape."""
        chosen = parse_format(request.format)
        photos = [
            images.decode(image, first_frame=chosen.first_frame)
            for image in (request.image, *request.references)
        ]
        *_, last = self.denoiser.run(
            self.wanted(
                photos,
                request.instruction,
                request.seed,
                request.steps,
                request.guidance,
                request.negative,
                request.true_cfg,
            )
        )
        return images.encode(self.decoder.run(last.latents[None])[0], chosen.name, chosen.quality)

    def wanted(
        self,
        photos: Sequence[np.ndarray],
        instruction: str,
        seed: int,
        steps: int = 0,
        guidance: float = 0.0,
        negative: str = "",
        true_cfg: float = 0.0,
    ) -> DenoiseRequest:
        """What the denoiser is asked to do with the first of `photos`, uint8 [H, W, 3]; the others
        are references.

        `negative` "" and `true_cfg` 0 are the family's defaults; a negative instruction counts for
        more than 1 only."""
        family = self.denoiser.family
        true_cfg = true_cfg or family.true_cfg
        negative = negative or family.negative
        against = self.reader.read(negative, photos) if negative and true_cfg > 1 else None
        source, *more = (
            self.encoder.run(images.fit(photo, family.size(*photo.shape[:2]))[None])[0]
            for photo in photos
        )
        rows, columns = family.grid(source)
        return DenoiseRequest(
            source,
            self.reader.read(instruction, photos),
            np.ones(rows * columns, bool),
            seed,
            steps,
            guidance,
            more=tuple(more),
            negative=against,
            true_cfg=true_cfg,
        )
