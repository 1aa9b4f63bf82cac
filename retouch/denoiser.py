"""The diffusion transformer as a stage: one edit is an iterator that takes a step each time it is asked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retouch import schedule
from retouch.latents import conditioning_ids, noise, pack, reference_ids, target_ids, unpack
from retouch.layout import layout
from retouch.preview import PreviewMap
from retouch.runners import Opener
from retouch.runners.onnx import OnnxRunner


MOST_SEEN = 64  # references that wait for their edits; the oldest goes first


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


class Denoiser:
    """The two graphs of a K/V family: `reference`, once an edit, and `step`."""

    def __init__(self, folder: Path, runner: Opener = OnnxRunner):
        """ArtifactError when a graph is not what the folder's manifest says, or cannot run here."""
        self._reference, self._step = runner(folder, "reference", keep=("k", "v")), runner(folder, "step")
        self._preview = PreviewMap.load(folder)
        self._settings = self._step.manifest.settings
        self._seen: OrderedDict[str, dict[str, np.ndarray]] = OrderedDict()  # by ticket, until its edit begins

    def look(self, ticket: str, latents: np.ndarray) -> None:
        """Keys and values of the source with `latents` [C, h, w], ahead of the edit with this ticket: they wait for
        nothing that the parser says."""
        self._seen[ticket] = self._see(latents)
        while len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)

    def forget(self, ticket: str) -> None:
        """The edit with this ticket will not come; an unknown one is no error."""
        self._seen.pop(ticket, None)

    def run(self, latents: np.ndarray, conditioning: np.ndarray, region: np.ndarray, seed: int,
            steps: int = 0, guidance: float = 0.0, previews: int = 0,
            boxes: np.ndarray | None = None, ticket: str = "") -> Iterator[Progress]:
        """One Progress a step; closing the iterator ends the edit.

        `latents` float32 [C, h, w] of the source, `conditioning` [Q, J], `region` bool [N] the cells to
        denoise: the others keep the source's tokens, bit for bit. `steps` 0 is the family's default. This
        family has no use for `guidance`. `boxes` float32 [S, 2, 4] are the parser's; they say where the
        conditioning stands. Previews show what the image would be without its noise. With the
        `ticket` of a `look` the reference is not computed again.
        """
        steps = steps or self._settings["default_steps"]
        patch = self._settings["patch"]
        grid = latents.shape[1] // patch, latents.shape[2] // patch
        source, cells = pack(latents[None], patch)[0], np.flatnonzero(region)
        kv = self._seen.pop(ticket, None) or self._see(latents)
        boxes = np.zeros((self._settings["slots"], 2, 4), np.float32) if boxes is None else boxes
        denoise = self._denoise(source, kv, conditioning, boxes, cells, grid, seed, steps)
        due = preview_steps(steps, previews)
        for done, (tokens, clean) in enumerate(denoise, start=1):
            progress = Progress(done, steps)
            if done in due:
                progress.preview = self._preview.image(_placed(source, cells, clean), grid)
            if done == steps:
                progress.latents = unpack(_placed(source, cells, tokens)[None], grid, patch)[0]
            yield progress

    def _see(self, latents: np.ndarray) -> dict[str, np.ndarray]:
        patch = self._settings["patch"]
        ids = reference_ids((latents.shape[1] // patch, latents.shape[2] // patch))
        return self._reference.run(tokens=pack(latents[None], patch), ids=ids[None])

    def _denoise(self, source, kv, conditioning, boxes, cells, grid, seed,
                 steps) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The region's tokens after each step, and what they would be without noise."""
        ids = target_ids(grid)[cells][None]
        fixed = {"beside": np.concatenate([source[cells][None], layout(boxes[None], ids, grid)], -1),
                 "conditioning": conditioning[None], "ids": ids,
                 "conditioning_ids": conditioning_ids(boxes[None], grid, len(conditioning) // len(boxes)), **kv}
        tokens = noise(seed, *source.shape)[cells]
        sigmas = schedule.sigmas(steps, self._settings["shift"])
        for sigma, following in zip(sigmas, sigmas[1:]):
            velocity = np.zeros_like(tokens)
            if len(cells):
                velocity = self._step.run(tokens=tokens[None], timestep=sigma[None], **fixed)["velocity"][0]
            clean = schedule.clean(tokens, velocity, sigma)
            tokens = schedule.euler(tokens, velocity, sigma, following)
            yield tokens, clean


def preview_steps(steps: int, previews: int) -> set[int]:
    """After which steps a preview is due: evenly spread, none after the last, whose answer is the image."""
    return {round(i * steps / (previews + 1)) for i in range(1, previews + 1)} - {0, steps}


def _placed(source: np.ndarray, cells: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The source's tokens [N, width] with those at `cells` replaced."""
    whole = source.copy()
    whole[cells] = tokens
    return whole
