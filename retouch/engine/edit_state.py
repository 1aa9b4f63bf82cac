"""The state of one edit in the denoiser: its tokens, its inputs and its progress."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from retouch.api.errors import RequestError
from retouch.backends.base import CACHED
from retouch.diffusion.changed_region import decisive_step, find_region
from retouch.diffusion.preview import PreviewMap
from retouch.diffusion.region_buckets import rounded
from retouch.diffusion.region_cache import RegionCache
from retouch.diffusion.sigmas import euler_step, predict_clean
from retouch.diffusion.step_cache import StepCache
from retouch.engine.adapter_store import NO_ADAPTERS, LoadedAdapters
from retouch.engine.scheduler import BatchKey
from retouch.families.base import Family
from retouch.families.denoise_request import Arrays, DenoiseRequest
from retouch.util.content_cache import size_of


@dataclass
class Progress:
    """After `step` of `steps`: `preview` uint8 [H/4, W/4, 3] where one is due, `latents` [C, h, w]
    after the last step. `reused` when the step reused the previous velocity, `on_region` when it
    ran on the region's tokens alone. `cells` bool [N] is the region of an edit that looks for
    it."""

    step: int
    steps: int
    preview: np.ndarray | None = None
    latents: np.ndarray | None = None
    reused: bool = False
    on_region: bool = False
    cells: np.ndarray | None = None

    @property
    def result(self) -> np.ndarray:
        """The latents after the last step."""
        assert self.latents is not None
        return self.latents

    def tensors(self) -> Arrays | None:
        """The tensors of an answer; None when this step has none. A missing image is empty."""
        if self.preview is None and self.latents is None:
            return None
        cells = {} if self.cells is None else {"CELLS": self.cells}
        return cells | {
            "LATENTS": np.zeros((0, 0, 0), np.float32) if self.latents is None else self.latents,
            "PREVIEW": np.zeros((0, 0, 3), np.uint8) if self.preview is None else self.preview,
            "STEP": np.array([self.step, self.steps], np.int32),
        }


@dataclass(eq=False)
class EditState:
    """An edit between its steps. `reference` holds the keys and values of its images, once they are
    known; those of the store under `reference_keys` are pinned. `prefixes` holds those of its
    prompts, in a block-causal family. `kept` holds, for every prompt, those of the tokens that a
    step on the region leaves out. `adapters` are pinned in the lane's store."""

    request: DenoiseRequest
    family: Family
    default_steps: int
    preview_map: PreviewMap
    reference_keys: list[Hashable] = field(default_factory=list)
    reference: Arrays | None = None
    prefixes: list[Arrays] | None = None
    kept: list[Arrays] | None = None
    adapters: LoadedAdapters = NO_ADAPTERS
    done: int = 0
    _fixed: list[Arrays] = field(default_factory=list)

    def __post_init__(self) -> None:
        """RequestError for more reference images than the family takes."""
        request = self.request
        family = self.family
        if len(request.extra_references) > family.max_references:
            raise RequestError(
                f"this checkpoint takes {family.max_references} reference images beside the edited "
                "one",
                field="REFERENCES",
            )
        self.total = request.steps or self.default_steps
        target = request.target
        self.grid = family.grid(target)
        self.source = family.pack(target)
        self._reference_tokens = sum(len(family.pack(latents)) for latents in self.images)
        self.region = request.region
        self.cells = self._choose_cells()
        self.tokens = family.noise(request.seed, target)[self.cells]
        self._sigmas = family.sigmas(self.total, len(self.source))
        self._preview_steps = preview_steps(self.total, request.previews)
        self._cache = StepCache(request.step_cache)
        interval = request.region_cache if family.supports_region_cache else 0
        self._region_cache = RegionCache(interval, self.total)
        self._kept_cells = self.cells  # those of a step on the region
        self._velocity = np.zeros_like(self.tokens)

    @property
    def steps(self) -> int:
        """The steps that are left."""
        return self.total - self.done

    @property
    def batch_key(self) -> BatchKey:
        """Families without `supports_regions` have one position table for all edits of a step. So
        their edits must have equal grids too."""
        request = self.request
        shapes = [array.shape for prompt in self.prompts for array in prompt.values()]
        shapes += [latents.shape for latents in request.extra_references]
        whole = () if self.family.supports_regions else (request.latents.shape, self.grid)
        shared = (*shapes, whole, self.is_on_region, id(self) if self.is_keeping else None)
        return BatchKey(len(self.step_cells), self._reference_tokens, shared, self.adapters.key)

    @property
    def is_on_region(self) -> bool:
        """Whether the next step runs on the region's tokens alone."""
        return self.kept is not None and self._region_cache.serves(self.done)

    @property
    def is_keeping(self) -> bool:
        """Whether the next step returns what those after it need; it runs alone."""
        return self._region_cache.keeps(self.done) and not self.region.all()

    @property
    def step_cells(self) -> np.ndarray:
        """Indices [n] of the cells that the next step denoises."""
        return self._kept_cells if self.is_on_region else self.cells

    @property
    def images(self) -> tuple[np.ndarray, ...]:
        """Latents of the source and of the reference images."""
        return self.request.latents, *self.request.extra_references

    @property
    def skipped_tokens(self) -> int:
        """Target tokens that no step denoises."""
        return len(self.source) - len(self.cells)

    @property
    def nbytes(self) -> int:
        """Bytes that the edit keeps between its steps, its reference included."""
        cached = [self.reference or {}, *(self.prefixes or ()), *(self.kept or ())]
        return size_of([self.source, self.tokens, *self._fixed, *self.prompts, *cached])

    @property
    def most_kept_bytes(self) -> int:
        """Bytes of keys and values that steps on the region keep at most: of all other tokens, for
        every prompt."""
        if not (self.request.region_cache and self.family.supports_region_cache):
            return 0
        region = 0 if self.request.find_region else len(self._region_cells())
        others = len(self.source) + self._reference_tokens - region
        return len(self.prompts) * others * self.family.kept_bytes_per_token

    @property
    def reuses_velocity(self) -> bool:
        """Whether the step cache serves the next step. The last step always runs."""
        return self.steps > 1 and self._cache.serves(self.tokens)

    def inputs(self) -> list[Arrays]:
        """The step graph's inputs without the reference: for the prompt and, if there is one, for
        the negative prompt."""
        request = self.request
        family = self.family
        sigma = self._sigmas[self.done]
        if self.kept is not None and self.is_on_region:
            cells = self.step_cells
            varying = family.step_inputs(request, self.tokens[cells], sigma)
            return [
                varying | family.region_inputs(request, prompt, cells) | kept
                for prompt, kept in zip(self.prompts, self.kept)
            ]
        if not self._fixed:
            self._fixed = [
                family.constant_inputs(request, prompt, self.cells) for prompt in self.prompts
            ]
        others = family.others(request, self._region_cells()) if self.is_keeping else None
        varying = family.step_inputs(request, self.tokens, sigma) | family.whole_inputs(others)
        return [varying | fixed for fixed in self._fixed]

    def keep(self, pairs: list[Arrays]) -> None:
        """Keep the keys and values `k` and `v` that a step has returned for every prompt."""
        self.kept = [{f"past_{name}": pair[name] for name in CACHED} for pair in pairs]
        self._kept_cells = self._region_cells()

    def advance(self, *velocities: np.ndarray) -> Progress:
        """Take a step with one velocity [n, width] for each of `inputs`. Without velocities the
        previous one is reused."""
        if not velocities:
            return self._advance(self._cache.velocity(self.tokens), reused=True)
        velocity = velocities[0]
        if len(velocities) > 1:
            velocity = self.family.apply_cfg(velocity, velocities[1], self.request.true_cfg)
        if self.is_on_region:
            whole = self._velocity.copy()
            whole[self.step_cells] = velocity
            velocity = whole
        self._cache.ran(self.tokens, velocity)
        return self._advance(velocity)

    def _advance(self, velocity: np.ndarray, reused: bool = False) -> Progress:
        on_region = self.is_on_region
        self._velocity = velocity
        sigma = self._sigmas[self.done]
        next_sigma = self._sigmas[self.done + 1]
        clean = predict_clean(self.tokens, velocity, sigma)
        self.tokens = euler_step(self.tokens, velocity, sigma, next_sigma)
        self.done += 1
        if self.request.find_region:
            self._find_region(clean)
        progress = Progress(self.done, self.total, reused=reused, on_region=on_region)
        progress.cells = self.region if self.request.find_region else None
        if self.done in self._preview_steps:
            progress.preview = self.preview_map.image(self._paste(clean), self.grid)
        if self.done == self.total:
            progress.latents = self.family.unpack(self._paste(self.tokens), self.grid)
        return progress

    @property
    def prompts(self) -> list[Arrays]:
        """What conditions the network: the prompt and, if there is one, the negative prompt."""
        request = self.request
        return [prompt for prompt in (request.conditioning, request.negative) if prompt is not None]

    def _choose_cells(self) -> np.ndarray:
        """Indices [n] of the cells that are denoised. A family with `supports_regions` rounds the
        region up. Others denoise all cells, or none."""
        if self.family.supports_regions:
            return np.flatnonzero(rounded(self.region, self.grid))
        return np.flatnonzero(self.region | self.region.any())

    def _region_cells(self) -> np.ndarray:
        """Those of the region, rounded up."""
        return np.flatnonzero(rounded(self.region, self.grid))

    def _find_region(self, clean: np.ndarray) -> None:
        """Narrow the region by the predicted clean tokens [n, width] of the decisive step. What the
        last step shows is added: a part may have changed later."""
        if self.done not in (decisive_step(self.total), self.total):
            return
        whole = self.source.copy()
        whole[self.cells] = clean
        changed = find_region(whole, self.source, self.grid)
        if changed is None:
            self.region = self.request.region
        elif self.region is self.request.region:
            self.region = self.request.region & changed
        else:
            self.region = self.region | (self.request.region & changed)

    def _paste(self, tokens: np.ndarray) -> np.ndarray:
        """The source image's tokens [N, width] with the denoised ones in place: those of the
        region. A family that denoises all cells keeps its own outside of a mask, which fit the
        edit."""
        is_pasted = self.region[self.cells]
        if not self.family.supports_regions and not self.request.find_region:
            is_pasted[:] = True
        whole = self.source.copy()
        whole[self.cells[is_pasted]] = tokens[is_pasted]
        return whole


def preview_steps(steps: int, previews: int) -> set[int]:
    """The steps after which a preview is due: evenly spread, none after the last step."""
    return {round(i * steps / (previews + 1)) for i in range(1, previews + 1)} - {0, steps}
