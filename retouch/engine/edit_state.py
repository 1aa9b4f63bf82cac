"""One edit's way through the denoiser: its tokens, what they see, and what comes of each step."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from retouch.api.errors import RequestError
from retouch.diffusion.preview import PreviewMap
from retouch.diffusion.region_buckets import rounded
from retouch.diffusion.sigmas import euler_step, predict_clean
from retouch.diffusion.step_cache import StepCache
from retouch.engine.scheduler import BatchKey
from retouch.families.base import Family
from retouch.families.denoise_request import Arrays, DenoiseRequest
from retouch.util.content_cache import size_of


@dataclass
class Progress:
    """After `step` of `steps`: `preview` uint8 [H/4, W/4, 3] where due, `latents` [C, h, w] at the
    end. `reused` when the step was taken with a velocity from before."""

    step: int
    steps: int
    preview: np.ndarray | None = None
    latents: np.ndarray | None = None
    reused: bool = False

    def tensors(self) -> dict[str, np.ndarray] | None:
        """What is to be sent, empty where there is none; None when nothing is."""
        if self.preview is None and self.latents is None:
            return None
        return {
            "LATENTS": np.zeros((0, 0, 0), np.float32) if self.latents is None else self.latents,
            "PREVIEW": np.zeros((0, 0, 3), np.uint8) if self.preview is None else self.preview,
            "STEP": np.array([self.step, self.steps], np.int32),
        }


@dataclass(eq=False)
class EditState:
    """An edit between its steps. `reference` are its source's keys and values, once they are known,
    kept under `key`."""

    wanted: DenoiseRequest
    family: Family
    default_steps: int
    preview: PreviewMap
    key: Hashable = None
    reference: dict[str, np.ndarray] | None = None
    done: int = 0
    _fixed: list[Arrays] = field(default_factory=list)

    def __post_init__(self) -> None:
        wanted = self.wanted
        family = self.family
        if len(wanted.extra_references) > family.max_references:
            raise RequestError(
                f"this checkpoint takes {family.max_references} reference images beside the edited one",
                field="REFERENCES",
            )
        self.total = wanted.steps or self.default_steps
        self.grid = family.grid(wanted.latents)
        self.source = family.pack(wanted.latents)
        self._reference = len(self.source) + sum(
            len(family.pack(each)) for each in wanted.extra_references
        )
        denoised = (
            rounded(wanted.region, self.grid)
            if family.supports_regions
            else wanted.region | wanted.region.any()
        )
        self.cells = np.flatnonzero(denoised)
        self._edited = (
            wanted.region[self.cells] if family.supports_regions else np.ones(len(self.cells), bool)
        )
        self.tokens = family.noise(wanted.seed, wanted.latents)[self.cells]
        self._sigmas = family.sigmas(self.total, len(self.source))
        self._due = preview_steps(self.total, wanted.previews)
        self._cache = StepCache(wanted.step_cache)

    @property
    def steps(self) -> int:
        """Those still to take."""
        return self.total - self.done

    @property
    def size(self) -> BatchKey:
        """Families that take their whole target at once tell a step where its tokens lie but once
        for all of its edits."""
        wanted = self.wanted
        shapes = [each.shape for said in self._said for each in said.values()]
        shapes += [each.shape for each in wanted.extra_references]
        whole = () if self.family.supports_regions else wanted.latents.shape
        return BatchKey(len(self.cells), self._reference, (*shapes, whole))

    @property
    def spared(self) -> int:
        """Target tokens that no step denoises."""
        return len(self.source) - len(self.cells)

    @property
    def nbytes(self) -> int:
        """What it keeps between its steps, its source's keys and values among it."""
        return size_of([self.source, self.tokens, *self._fixed, *self._said, self.reference or {}])

    def inputs(self) -> list[Arrays]:
        """One row of every input of the step graph but the reference; two where there is a negative
        instruction."""
        wanted = self.wanted
        family = self.family
        self._fixed = self._fixed or [
            family.constant_inputs(wanted, said, self.cells) for said in self._said
        ]
        varying = family.step_inputs(wanted, self.tokens, self._sigmas[self.done])
        return [varying | fixed for fixed in self._fixed]

    @property
    def reuses(self) -> bool:
        """Whether the next step is taken with a velocity from before: where that is allowed and
        near enough, and the last never is."""
        return self.steps > 1 and self._cache.serves(self.tokens)

    def advance(self, *velocities: np.ndarray) -> Progress:
        """Take the step with the velocity [n, width] of its tokens, one for each of `inputs`, or
        with that from before."""
        if not velocities:
            return self._advance(self._cache.velocity(self.tokens), reused=True)
        velocity = velocities[0]
        if len(velocities) > 1:
            velocity = self.family.apply_cfg(*velocities, self.wanted.true_cfg)
        self._cache.ran(self.tokens, velocity)
        return self._advance(velocity)

    def _advance(self, velocity: np.ndarray, reused: bool = False) -> Progress:
        sigma = self._sigmas[self.done]
        following = self._sigmas[self.done + 1]
        clean = predict_clean(self.tokens, velocity, sigma)
        self.tokens = euler_step(self.tokens, velocity, sigma, following)
        self.done += 1
        progress = Progress(self.done, self.total, reused=reused)
        if self.done in self._due:
            progress.preview = self.preview.image(self._placed(clean), self.grid)
        if self.done == self.total:
            progress.latents = self.family.unpack(self._placed(self.tokens), self.grid)
        return progress

    @property
    def _said(self) -> list[Arrays]:
        return [
            said for said in (self.wanted.conditioning, self.wanted.negative) if said is not None
        ]

    def _placed(self, tokens: np.ndarray) -> np.ndarray:
        """The source's tokens [N, width] with the edited ones in their places; those that only
        rounded the region up are the source's."""
        whole = self.source.copy()
        whole[self.cells[self._edited]] = tokens[self._edited]
        return whole


def preview_steps(steps: int, previews: int) -> set[int]:
    """After which steps a preview is due: evenly spread, none after the last, whose answer is the
    image."""
    return {round(i * steps / (previews + 1)) for i in range(1, previews + 1)} - {0, steps}
