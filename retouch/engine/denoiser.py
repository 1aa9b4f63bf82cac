"""The diffusion transformer of a lane: edits of one size take a step together, on sources that it
remembers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from retouch.backends.base import BackendFactory
from retouch.backends.onnx import OnnxBackend
from retouch.diffusion.preview import PreviewMap
from retouch.engine.edit_state import EditState, Progress
from retouch.families.denoise_request import Arrays, DenoiseRequest
from retouch.families.registry import family_of
from retouch.util.content_cache import Cache, key_of

REFERENCE_BYTES = 64 << 20  # of keys and values of sources that no running edit needs


class Denoiser:
    """The graph `step` of a lane and, in a family that keeps it, `reference`, once an image.

    Such a reference's keys and values depend on the image alone: they serve every step, seed and
    later turn on it, and stay in memory under the content of its latents."""

    def __init__(
        self,
        folder: Path,
        runner: BackendFactory = OnnxBackend,
        reference_bytes: int = REFERENCE_BYTES,
    ):
        """ArtifactError when a graph is not what the folder's manifest says, or cannot run here."""
        self._step = runner(folder, "step")
        self.manifest = self._step.manifest
        self.settings = self.manifest.settings
        self.family = family_of(self.manifest.family, self.settings)
        self._reference = (
            runner(folder, "reference", keep=("k", "v")) if self.family.caches_reference else None
        )
        self._preview = PreviewMap.load(folder)
        self.references = Cache(reference_bytes)

    @property
    def workers(self) -> int:
        """How many steps gain from running side by side."""
        return self._step.workers

    def look(self, latents: np.ndarray) -> None:
        """Remember the source with `latents` [C, h, w] ahead of its edits: it waits for nothing
        that a parser says."""
        if self._reference:
            self.references.get(key_of(latents), lambda: self._see(latents))

    def begin(self, wanted: DenoiseRequest) -> EditState:
        """An edit before its first step; `end` must follow, however it ends."""
        return EditState(
            wanted,
            self.family,
            self.settings["default_steps"],
            self._preview,
            key_of(wanted.latents, *wanted.extra_references),
        )

    def end(self, edit: EditState) -> None:
        """Its source need not be remembered for it any longer."""
        if edit.reference is not None:
            edit.reference = None
            self.references.unpin(edit.key)

    def step(self, edits: Sequence[EditState]) -> list[Progress]:
        """One step of edits of one size, in one run; what each gets does not depend on the
        others."""
        if not len(edits[0].cells):  # nothing to denoise: the source is the result
            return [edit.advance(np.zeros_like(edit.tokens)) for edit in edits]
        found = dict.fromkeys(edits, ())
        if due := [edit for edit in edits if not edit.reuses]:
            found |= zip(due, self._velocities(due))
        return [edit.advance(*velocities) for edit, velocities in found.items()]

    def run(self, wanted: DenoiseRequest) -> Iterator[Progress]:
        """One edit alone, one Progress a step; closing the iterator ends it."""
        edit = self.begin(wanted)
        try:
            while edit.steps:
                yield from self.step([edit])
        finally:
            self.end(edit)

    def _velocities(self, edits: Sequence[EditState]) -> list[tuple[np.ndarray, ...]]:
        """Of each edit's tokens [n, width], with and, where there is one, against its
        instruction."""
        rows = [edit.inputs() for edit in edits]
        # the first of all, then the second: a negative instruction need not be as long as its
        # positive
        return list(
            zip(*(self._run(edits, [row[which] for row in rows]) for which in range(len(rows[0]))))
        )

    def _run(self, edits: Sequence[EditState], rows: list[Arrays]) -> np.ndarray:
        """Velocities [B, n, width] of the edits' tokens."""
        if self._reference:
            rows = [row | self._kept(edit) for row, edit in zip(rows, edits)]
        velocity = self._step.run(**{name: [row[name] for row in rows] for name in rows[0]})[
            "velocity"
        ]
        return velocity[:, : len(edits[0].cells)]

    def _kept(self, edit: EditState) -> Arrays:
        if edit.reference is None:
            edit.reference = self.references.pin(
                edit.key, lambda: self._see(edit.wanted.latents, *edit.wanted.extra_references)
            )
        return edit.reference

    def _see(self, *images: np.ndarray) -> Arrays:
        return self._reference.run(**self.family.reference_inputs(*images))
