"""One edit of a family with a reader, as a plain loop over the stages in one process: what is calibrated and compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retouch import images
from retouch.denoiser import Denoiser
from retouch.denoising import Wanted
from retouch.readers import reader_of
from retouch.runners import Opener
from retouch.runners.onnx import OnnxRunner
from retouch.types import EditRequest, parse_format
from retouch.vae import VaeDecoder, VaeEncoder


class ReaderLoop:
    """The stages of a model repository, one after the other."""

    def __init__(self, repository: Path, lane: str = "bf16", runner: Opener = OnnxRunner):
        """`runner` is the denoiser's; ArtifactError, ValueError."""
        def folder(name: str) -> Path:
            return Path(repository) / name / "1"

        self.reader = reader_of(folder("text_encoder"))
        self.encoder, self.decoder = VaeEncoder(folder("vae_encoder")), VaeDecoder(folder("vae_decoder"))
        self.denoiser = Denoiser(folder(f"denoiser_{lane}"), runner)

    def edit(self, request: EditRequest) -> bytes:
        """The encoded result, as large as the family edits an image of that shape."""
        photo = images.decode(request.image)
        pixels = images.fit(photo, self.denoiser.family.size(*photo.shape[:2]))
        wanted = self.wanted(pixels, request.instruction, request.seed, request.steps, request.guidance)
        *_, last = self.denoiser.run(wanted)
        chosen = parse_format(request.format)
        return images.encode(self.decoder.run(last.latents[None])[0], chosen.name, chosen.quality)

    def wanted(self, pixels: np.ndarray, instruction: str, seed: int, steps: int = 0, guidance: float = 0.0,
               negative: str | None = None, true_cfg: float = 1.0) -> Wanted:
        """What the denoiser is asked to do with uint8 [H, W, 3] of a size that the family edits at.

        A `negative` instruction counts when `true_cfg` is above 1, as in diffusers.
        """
        latents = self.encoder.run(pixels[None])[0]
        rows, columns = self.denoiser.family.grid(latents)
        against = self.reader.read(negative, [pixels]) if negative is not None and true_cfg > 1 else None
        return Wanted(latents, self.reader.read(instruction, [pixels]), np.ones(rows * columns, bool), seed, steps,
                      guidance, negative=against, true_cfg=true_cfg)
