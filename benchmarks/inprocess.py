"""An edit as a plain loop over the exported graphs in one process: what serving is measured against."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from retouch import images
from retouch.connector import Connector
from retouch.denoiser import Denoiser
from retouch.parser import Parsed, Parser
from retouch.vae import VaeDecoder, VaeEncoder


@dataclass
class Edited:
    """`pixels` uint8 [H, W, 3]; `milliseconds` by stage."""

    pixels: np.ndarray
    parsed: Parsed
    milliseconds: dict[str, float] = field(default_factory=dict)


class Editor:
    """The stages of one model repository, one after the other."""

    def __init__(self, repository: Path, precision: str = "bf16"):
        def folder(model: str) -> Path:
            return Path(repository) / model / "1"

        self.parser, self.connector = Parser(folder("vl_parser")), Connector(folder("connector"))
        self.encoder, self.decoder = VaeEncoder(folder("vae_encoder")), VaeDecoder(folder("vae_decoder"))
        self.denoiser = Denoiser(folder(f"denoiser_{precision}"))

    def edit(self, image: np.ndarray, instruction: str, seed: int, steps: int = 0) -> Edited:
        """Edit uint8 [H, W, 3] where the parser says."""
        clock = Clock()
        size = images.bucket(*image.shape[:2])
        pixels = images.fit(image, size)
        parsed = clock("vl_parser", self.parser.run, pixels[None], [instruction])[0]
        latents = clock("vae_encoder", self.encoder.run, pixels[None])[0]
        conditioning = clock("connector", self.connector.run, parsed.queries[None])[0]
        drawn = clock("denoiser", self._denoise, latents, conditioning, parsed, seed, steps)
        decoded = clock("vae_decoder", self.decoder.run, drawn[None])[0]
        mask = images.mask_of_cells(parsed.region, size, *image.shape[:2])
        return Edited(images.paste_back(image, decoded, mask), parsed, clock.milliseconds)

    def _denoise(self, latents: np.ndarray, conditioning: np.ndarray, parsed: Parsed, seed: int, steps: int) -> np.ndarray:
        *_, last = self.denoiser.run(latents, conditioning, parsed.region, seed, steps, boxes=parsed.boxes)
        return last.latents


class Clock:
    """Calls functions and notes how long they took."""

    def __init__(self):
        self.milliseconds: dict[str, float] = {}

    def __call__(self, name: str, function, *args):
        start = time.perf_counter()
        result = function(*args)
        self.milliseconds[name] = (time.perf_counter() - start) * 1000
        return result
