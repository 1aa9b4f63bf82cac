"""Held-out scenes of 128 px, parsed and encoded by the real models: the inputs of the denoiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from retouch.families.denoise_request import DenoiseRequest
from retouch.families.instructx.parser import Parsed
from retouch.offline.plain_loop import PlainLoop
from training.render import Drawing, render
from training.scenes import Pair, held_out

SIZE = (128, 128)
LOCAL = 0.25  # of the image, at most: then an edit is called local
FIFTEEN = (0.13, 0.17)  # of the image: an edit of 15 % of it


@dataclass(frozen=True)
class Prepared:
    """A pair, its drawn source, and the outputs of the stages before the denoiser."""

    pair: Pair
    source: Drawing
    parsed: Parsed
    latents: np.ndarray
    conditioning: dict[str, np.ndarray]

    @property
    def share(self) -> float:
        """Share of the image's cells in the parser's region."""
        return float(self.parsed.region.mean())

    def denoise_request(
        self, whole: bool = False, seed: int = 0, steps: int = 0, previews: int = 0
    ) -> DenoiseRequest:
        region = np.ones_like(self.parsed.region) if whole else self.parsed.region
        return DenoiseRequest(
            self.latents, self.conditioning, region, seed, steps, previews=previews
        )


def prepare(loop: PlainLoop, keep: Callable[[Prepared], bool], count: int) -> list[Prepared]:
    """The first `count` scenes for which `keep` is true."""
    kept = []
    for pair in held_out():
        if (pair.source.height, pair.source.width) == SIZE:
            source = render(pair.source)
            parsed = loop.parser.run(source.pixels[None], [pair.instruction])[0]
            conditioning = {
                "prompt_embeds": loop.connector.run(parsed.queries[None])[0],
                "boxes": parsed.boxes,
            }
            prepared = Prepared(
                pair, source, parsed, loop.encoder.run(source.pixels[None])[0], conditioning
            )
            kept += [prepared] if keep(prepared) else []
        if len(kept) == count:
            break
    return kept


def local(prepared: Prepared) -> bool:
    return prepared.share <= LOCAL


def fifteen(prepared: Prepared) -> bool:
    """About 15 % of the image."""
    return FIFTEEN[0] <= prepared.share <= FIFTEEN[1]
