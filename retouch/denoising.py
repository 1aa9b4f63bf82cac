"""One edit's way through the denoiser: its tokens, what they see, and what comes of each step."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from retouch import schedule
from retouch.latents import conditioning_ids, noise, pack, target_ids, unpack
from retouch.layout import layout
from retouch.preview import PreviewMap
from retouch.scheduler import Size


@dataclass
class Progress:
    """After `step` of `steps`: `preview` uint8 [H/4, W/4, 3] where due, `latents` [C, h, w] at the end."""

    step: int
    steps: int
    preview: np.ndarray | None = None
    latents: np.ndarray | None = None

    def tensors(self) -> dict[str, np.ndarray] | None:
        """What is to be sent, empty where there is none; None when nothing is."""
        if self.preview is None and self.latents is None:
            return None
        return {
            "LATENTS": np.zeros((0, 0, 0), np.float32) if self.latents is None else self.latents,
            "PREVIEW": np.zeros((0, 0, 3), np.uint8) if self.preview is None else self.preview,
            "STEP": np.array([self.step, self.steps], np.int32),
        }


@dataclass(frozen=True, eq=False)
class Wanted:
    """What an edit asks of the denoiser.

    `latents` float32 [C, h, w] of the source, `conditioning` [Q, J], `region` bool [N] the cells to denoise: the others
    keep the source's tokens, bit for bit. `steps` 0 is the family's default. This family has no use for `guidance`.
    `boxes` float32 [S, 2, 4] are the parser's; they say where the conditioning stands. Previews show what the image
    would be without its noise.
    """

    latents: np.ndarray
    conditioning: np.ndarray
    region: np.ndarray
    seed: int
    steps: int = 0
    guidance: float = 0.0
    previews: int = 0
    boxes: np.ndarray | None = None


@dataclass(eq=False)
class Denoising:
    """An edit between its steps. `reference` are its source's keys and values, once they are known, kept under
    `key`."""

    wanted: Wanted
    settings: dict
    preview: PreviewMap
    key: Hashable = None
    reference: dict[str, np.ndarray] | None = None
    done: int = 0
    _fixed: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wanted, self.patch = self.wanted, self.settings["patch"]
        self.total = wanted.steps or self.settings["default_steps"]
        self.grid = wanted.latents.shape[1] // self.patch, wanted.latents.shape[2] // self.patch
        self.source, self.cells = pack(wanted.latents[None], self.patch)[0], np.flatnonzero(wanted.region)
        self.tokens = noise(wanted.seed, *self.source.shape)[self.cells]
        self._sigmas = schedule.sigmas(self.total, self.settings["shift"])
        self._due = preview_steps(self.total, wanted.previews)

    @property
    def steps(self) -> int:
        """Those still to take."""
        return self.total - self.done

    @property
    def size(self) -> Size:
        return Size(len(self.cells), len(self.source), self.wanted.conditioning.shape)

    def inputs(self) -> dict[str, np.ndarray]:
        """One row of every input of the step graph but the reference."""
        if not self._fixed:
            wanted, ids = self.wanted, target_ids(self.grid)[self.cells][None]
            boxes = np.zeros((self.settings["slots"], 2, 4), np.float32) if wanted.boxes is None else wanted.boxes
            beside = np.concatenate([self.source[self.cells][None], layout(boxes[None], ids, self.grid)], -1)
            places = conditioning_ids(boxes[None], self.grid, len(wanted.conditioning) // len(boxes))
            self._fixed = {"beside": beside, "conditioning": wanted.conditioning[None], "ids": ids,
                           "conditioning_ids": places}
        return {"tokens": self.tokens[None], "timestep": self._sigmas[self.done][None], **self._fixed}

    def advance(self, velocity: np.ndarray) -> Progress:
        """Take the step with `velocity` [n, width] of its tokens."""
        sigma, following = self._sigmas[self.done], self._sigmas[self.done + 1]
        clean = schedule.clean(self.tokens, velocity, sigma)
        self.tokens = schedule.euler(self.tokens, velocity, sigma, following)
        self.done += 1
        progress = Progress(self.done, self.total)
        if self.done in self._due:
            progress.preview = self.preview.image(self._placed(clean), self.grid)
        if self.done == self.total:
            progress.latents = unpack(self._placed(self.tokens)[None], self.grid, self.patch)[0]
        return progress

    def _placed(self, tokens: np.ndarray) -> np.ndarray:
        """The source's tokens [N, width] with the edited ones in their places."""
        whole = self.source.copy()
        whole[self.cells] = tokens
        return whole


def preview_steps(steps: int, previews: int) -> set[int]:
    """After which steps a preview is due: evenly spread, none after the last, whose answer is the image."""
    return {round(i * steps / (previews + 1)) for i in range(1, previews + 1)} - {0, steps}
