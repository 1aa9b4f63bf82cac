"""What an edit asks of the denoiser."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Arrays = dict[str, np.ndarray]
Size = tuple[int, int]  # height and width in pixels


@dataclass(frozen=True, eq=False)
class DenoiseRequest:
    """`latents` float32 [C, h, w] of the source, `more` those of further reference images.
    `conditioning` are the arrays that the family's step graph is told by what to do, `negative` the
    same of a negative instruction, which counts by `true_cfg`. `region` bool [N] the cells to edit:
    the others keep the source's tokens, bit for bit. `steps` 0 is the family's default. Previews
    show what the image would be without its noise. `step_cache` is a StepCache's threshold."""

    latents: np.ndarray
    conditioning: Arrays
    region: np.ndarray
    seed: int
    steps: int = 0
    guidance: float = 0.0
    previews: int = 0
    step_cache: float = 0.0
    more: tuple[np.ndarray, ...] = ()
    negative: Arrays | None = None
    true_cfg: float = 1.0
