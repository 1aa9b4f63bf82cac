"""One edit as a plain loop over the stages of a family that has a reader: the photos, all at their own sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retouch.denoiser import Denoiser
from retouch.denoising import Wanted
from retouch.images import decode, encode, fit
from retouch.readers import reader_of
from retouch.runners import Opener
from retouch.runners.onnx import OnnxRunner
from retouch.types import EditRequest
from retouch.vae import VaeDecoder, VaeEncoder


class ReadingLoop:
    """The stages of a model repository, one after the other."""

    def __init__(self, repository: Path, lane: str = "bf16", runner: Opener = OnnxRunner, others: Opener = OnnxRunner):
        """`runner` is the denoiser's, `others` the other stages'."""
        folders = {name: Path(repository) / name / "1" for name in (
            "text_encoder", "vae_encoder", "vae_decoder", f"denoiser_{lane}")}
        self.reader = reader_of(folders["text_encoder"], others)
        self.encoder = VaeEncoder(folders["vae_encoder"], runner=others)
        self.decoder = VaeDecoder(folders["vae_decoder"], others)
        self.denoiser = Denoiser(folders[f"denoiser_{lane}"], runner)

    def edit(self, request: EditRequest) -> bytes:
        """The encoded result, as large as the family edits it."""
        photos = [decode(image) for image in (request.image, *request.references)]
        *_, last = self.denoiser.run(self.wanted(
            photos, request.instruction, request.seed, request.steps, request.negative, request.true_cfg))
        return encode(self.decoder.run(last.latents[None])[0])

    def wanted(self, photos: list[np.ndarray], instruction: str, seed: int, steps: int = 0, negative: str = "",
               true_cfg: float = 0.0) -> Wanted:
        """An edit of the first of `photos`, uint8 [H, W, 3]; `negative` "" and `true_cfg` 0 are the family's defaults, and a
        negative instruction is read where it counts for more than 1."""
        family = self.denoiser.family
        true_cfg = true_cfg or family.true_cfg
        against = self.reader.read(negative or family.negative, photos) if true_cfg > 1 else None
        source, *more = (self.encoder.run(fit(photo, family.size(*photo.shape[:2]))[None])[0] for photo in photos)
        rows, columns = family.grid(source)
        return Wanted(source, self.reader.read(instruction, photos), np.ones(rows * columns, bool), seed, steps,
                      more=tuple(more), negative=against, true_cfg=true_cfg)
