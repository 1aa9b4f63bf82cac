"""What an edit asks of the denoiser."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retouch.api.adapters import Adapters

Arrays = dict[str, np.ndarray]
Size = tuple[int, int]  # height and width in pixels


@dataclass(frozen=True, eq=False)
class DenoiseRequest:
    """One edit of one source image.

    - `latents` float32 [C, h, w] of the source, `extra_references` those of further images.
    - `conditioning`: the family's arrays by name, without a batch dimension; `prompt_embeds` [T, J]
      in all families. `negative` are those of a negative instruction, applied with `true_cfg`.
    - `region` bool [N]: the cells to edit. The others keep the source's tokens, bit for bit.
    - `find_region`: look for the region in an early step, within `region`; where none is found it
      stays as it is.
    - `target_shape` is that of the result's latents, if it differs from the source's; the region
      is then the whole target.
    - `steps` 0 and `guidance` 0 are the family's defaults.
    - `previews`: how many are due before the result. They show the prediction without its noise.
    - `step_cache`: the threshold of a StepCache.
    - `region_cache`: the interval of a RegionCache.
    - `adapters`: names and scales of the folder's adapters, sorted by name."""

    latents: np.ndarray
    conditioning: Arrays
    region: np.ndarray
    seed: int
    steps: int = 0
    guidance: float = 0.0
    previews: int = 0
    step_cache: float = 0.0
    extra_references: tuple[np.ndarray, ...] = ()
    negative: Arrays | None = None
    true_cfg: float = 1.0
    find_region: bool = False
    region_cache: int = 0
    target_shape: tuple[int, ...] = ()
    adapters: Adapters = ()

    @property
    def target(self) -> np.ndarray:
        """Latents of the result's shape: the source's, or zeros."""
        return np.zeros(self.target_shape, np.float32) if self.target_shape else self.latents
