"""The diffusion transformer of a lane: edits of one size take a step together, on sources that it remembers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from retouch.cache import Cache, key_of
from retouch.denoising import Denoising, Progress, Wanted
from retouch.latents import pack, reference_ids
from retouch.preview import PreviewMap
from retouch.runners import Opener
from retouch.runners.onnx import OnnxRunner

REFERENCE_BYTES = 256 << 20  # of keys and values of sources that no running edit needs


class Denoiser:
    """The two graphs of a K/V family: `reference`, once an image, and `step`.

    The reference's keys and values depend on the image alone: they serve every step, seed and later turn on it, and
    stay in memory under the content of its latents.
    """

    def __init__(self, folder: Path, runner: Opener = OnnxRunner, reference_bytes: int = REFERENCE_BYTES):
        """ArtifactError when a graph is not what the folder's manifest says, or cannot run here."""
        self._reference, self._step = runner(folder, "reference", keep=("k", "v")), runner(folder, "step")
        self._preview = PreviewMap.load(folder)
        self.settings = self._step.manifest.settings
        self.references = Cache(reference_bytes)

    def look(self, latents: np.ndarray) -> None:
        """Remember the source with `latents` [C, h, w] ahead of its edits: it waits for nothing that a parser says."""
        self.references.get(key_of(latents), lambda: self._see(latents))

    def begin(self, wanted: Wanted) -> Denoising:
        """An edit before its first step; `end` must follow, however it ends."""
        return Denoising(wanted, self.settings, self._preview, key_of(wanted.latents))

    def end(self, edit: Denoising) -> None:
        """Its source need not be remembered for it any longer."""
        if edit.reference is not None:
            edit.reference = None
            self.references.unpin(edit.key)

    def step(self, edits: Sequence[Denoising]) -> list[Progress]:
        """One step of edits of one size, in one run; what each gets does not depend on the others."""
        if not len(edits[0].cells):  # nothing to denoise: the source is the result
            return [edit.advance(np.zeros_like(edit.tokens)) for edit in edits]
        for edit in edits:
            if edit.reference is None:
                edit.reference = self.references.pin(edit.key, lambda: self._see(edit.wanted.latents))
        rows = [edit.inputs() | edit.reference for edit in edits]
        velocity = self._step.run(**{name: [row[name] for row in rows] for name in rows[0]})["velocity"]
        return [edit.advance(row) for edit, row in zip(edits, velocity)]

    def run(self, wanted: Wanted) -> Iterator[Progress]:
        """One edit alone, one Progress a step; closing the iterator ends it."""
        edit = self.begin(wanted)
        try:
            while edit.steps:
                yield from self.step([edit])
        finally:
            self.end(edit)

    def _see(self, latents: np.ndarray) -> dict[str, np.ndarray]:
        patch = self.settings["patch"]
        ids = reference_ids((latents.shape[1] // patch, latents.shape[2] // patch))
        return self._reference.run(tokens=pack(latents[None], patch), ids=ids[None])
