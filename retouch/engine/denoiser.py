"""The denoiser of a lane: one step of edits that share it, over cached references."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path

import numpy as np

from retouch.api.adapters import Adapters
from retouch.api.errors import RequestError
from retouch.artifacts.adapter_folder import fingerprint
from retouch.artifacts.manifest import ArtifactError
from retouch.backends import kept_values
from retouch.backends.base import CACHED, CACHED_TEXT, BackendFactory
from retouch.backends.onnx import OnnxBackend
from retouch.diffusion.preview import PreviewMap
from retouch.engine.adapter_store import (
    ADAPTER_BYTES,
    NO_ADAPTERS,
    AdapterStore,
    LoadedAdapters,
)
from retouch.engine.edit_state import EditState, Progress
from retouch.engine.reference_store import REFERENCE_BYTES, ReferenceStore
from retouch.families.denoise_request import Arrays, DenoiseRequest
from retouch.families.registry import family_of
from retouch.util.content_cache import key_of


class Denoiser:
    """The lane's graph `step`, in a family that caches references its graph `reference`, and in a
    block-causal family its graph `prefix`.

    A reference's keys and values depend on its images alone. They serve every step, every seed and
    later edits of the same images. `references` keeps them by the content of the latents; in a
    block-causal family every image has a segment, which serves all edits that begin with the same
    images up to it. A prompt's keys and values serve the steps of its edit."""

    def __init__(
        self,
        folder: Path,
        runner: BackendFactory = OnnxBackend,
        reference_bytes: int = REFERENCE_BYTES,
        references: ReferenceStore | None = None,
        adapters: Path | None = None,
        adapter_bytes: int = ADAPTER_BYTES,
    ):
        """Without `references` there is one tier of `reference_bytes`. `adapters` is the folder of
        those that edits may name. ArtifactError when a graph differs from the folder's manifest, or
        cannot run here."""
        self._step = runner(folder, "step", keep=CACHED)
        self.manifest = self._step.manifest
        self.settings = self.manifest.settings
        self.family = family_of(self.manifest.family, self.settings)
        self._reference = (
            runner(folder, "reference", keep=CACHED) if self.family.caches_reference else None
        )
        self._prefix = (
            runner(folder, "prefix", keep=CACHED_TEXT) if self.family.is_block_causal else None
        )
        self._preview_map = PreviewMap.load(folder)
        self.references = references or ReferenceStore(reference_bytes)
        network = fingerprint(self.manifest) if adapters else ""
        self.adapters = AdapterStore(adapters, network, adapter_bytes)
        if self.adapters.names():  # otherwise with the first edit that names one
            with contextlib.suppress(RequestError):
                self._accept_adapters()

    @property
    def workers(self) -> int:
        """How many steps can run side by side at a gain."""
        return self._step.workers

    @property
    def compiles(self) -> bool:
        """Whether the first step of a shape takes long."""
        return self._step.compiles

    def prefill(self, latents: np.ndarray, adapters: Adapters = ()) -> None:
        """Cache the keys and values of a source image, latents [C, h, w], ahead of its edits with
        these adapters; RequestError as `begin`. A block-causal family does so in the first step,
        for it reads the text before the image."""
        if self._reference and not self.family.is_block_causal:
            loaded = self._pin(adapters)
            try:
                self._accept(loaded)
                self.references.get(
                    _reference_key([latents], loaded),
                    lambda: self._encode([latents], {}, [], loaded),
                )
            finally:
                self.adapters.unpin(loaded)

    def prepare(self, edit: EditState) -> None:
        """Compute the edit's keys and values ahead of its first step; RequestError when the lane
        takes no adapters."""
        self._accept(edit.adapters)
        if self._reference and edit.reference is None:
            edit.reference = self._encode_images(edit)
        if self._prefix and edit.prefixes is None:
            edit.prefixes = [self._encode_prompt(edit, prompt) for prompt in edit.prompts]

    def begin(self, request: DenoiseRequest) -> EditState:
        """An edit before its first step. `end` must follow, however the edit ends. RequestError
        for adapters that are unknown, or that this lane cannot take now."""
        edit = EditState(request, self.family, self.settings["default_steps"], self._preview_map)
        edit.adapters = self._pin(request.adapters)
        return edit

    def end(self, edit: EditState) -> None:
        """Release the edit's reference and adapters. A second call does nothing."""
        self.adapters.unpin(edit.adapters)
        edit.adapters = NO_ADAPTERS
        edit.reference = None
        while edit.reference_keys:
            self.references.unpin(edit.reference_keys.pop())

    def step(self, edits: Sequence[EditState]) -> list[Progress]:
        """One step of edits with equal batch keys, in one run. An edit's result does not depend on
        the others."""
        if not len(edits[0].cells):  # an empty region: the result is the source image
            return [edit.advance(np.zeros_like(edit.tokens)) for edit in edits]
        velocities: dict[EditState, tuple[np.ndarray, ...]] = dict.fromkeys(edits, ())
        if due := [edit for edit in edits if not edit.reuses_velocity]:
            velocities |= zip(due, self._velocities(due))
        return [edit.advance(*own) for edit, own in velocities.items()]

    def run(self, request: DenoiseRequest) -> Iterator[Progress]:
        """One edit alone, one Progress a step. Closing the iterator ends the edit."""
        edit = self.begin(request)
        try:
            while edit.steps:
                yield from self.step([edit])
        finally:
            self.end(edit)

    def _velocities(self, edits: Sequence[EditState]) -> list[tuple[np.ndarray, ...]]:
        """Velocities [n, width] of every edit: for its prompt and, if it has one, its negative."""
        rows = [self._inputs(edit) for edit in edits]
        # one run for the prompts, one for the negatives: they may differ in length
        prompts = range(len(rows[0]))
        adapters = edits[0].adapters
        runs = [self._run([row[prompt] for row in rows], adapters) for prompt in prompts]
        if edits[0].is_keeping:
            edits[0].keep(runs)
        count = len(edits[0].step_cells)
        return list(zip(*(run["velocity"][:, :count] for run in runs)))

    def _run(self, rows: list[Arrays], adapters: LoadedAdapters = NO_ADAPTERS) -> Arrays:
        """The outputs of `step` for rows that share it."""
        batch = {name: [row[name] for row in rows] for name in rows[0]}
        return self._step.run(**batch, **adapters.matrices)

    def _inputs(self, edit: EditState) -> list[Arrays]:
        """The inputs of `step`, for the prompt and, if there is one, for the negative prompt."""
        self.prepare(edit)
        reference = edit.reference or {}
        prefixes = edit.prefixes or [{} for _ in edit.prompts]
        return [row | reference | prefix for row, prefix in zip(edit.inputs(), prefixes)]

    def _encode_images(self, edit: EditState) -> Arrays:
        """Keys and values of the edit's images: the segments of all runs of `reference`, one after
        the other. They stay pinned until the edit ends."""
        segments: list[Arrays] = []
        for images in self.family.reference_runs(edit.images):
            key = _reference_key(images, edit.adapters)
            before = list(segments)
            segments.append(
                self.references.pin(
                    key,
                    lambda images=images, before=before: self._encode(
                        images, edit.request.conditioning, before, edit.adapters
                    ),
                )
            )
            edit.reference_keys.append(key)
        return _joined(segments)

    def _encode(
        self,
        images: Sequence[np.ndarray],
        conditioning: Arrays,
        segments: Sequence[Arrays],
        adapters: LoadedAdapters,
    ) -> Arrays:
        """Keys and values of a run of `reference` on `images`, latents [C, h, w] each, after the
        `segments` of the runs before it."""
        assert self._reference is not None  # its family caches references
        inputs = self.family.reference_inputs(images, conditioning)
        if segments:
            inputs |= {f"past_{name}": array for name, array in _joined(segments).items()}
        return self._reference.run(**inputs, **adapters.matrices)

    def _encode_prompt(self, edit: EditState, prompt: Arrays) -> Arrays:
        """Keys and values of a prompt after the edit's images."""
        assert self._prefix is not None and edit.reference is not None
        return self._prefix.run(
            **self.family.prefix_inputs(edit.images, prompt),
            **edit.reference,
            **edit.adapters.matrices,
        )

    def _pin(self, adapters: Adapters) -> LoadedAdapters:
        """The adapters, loaded; RequestError."""
        if not adapters:
            return NO_ADAPTERS
        with _about_adapters():
            return self.adapters.pin(adapters, self._step.placed)

    def _accept(self, adapters: LoadedAdapters) -> None:
        """Let the graphs take adapters, if there are some; RequestError. This belongs to the
        threads that run the graphs."""
        if adapters.key:
            self._accept_adapters()

    def _accept_adapters(self) -> None:
        with _about_adapters():
            for graph in filter(None, (self._step, self._reference, self._prefix)):
                graph.accept_adapters()


def _joined(segments: Sequence[Arrays]) -> Arrays:
    """Keys and values of all tokens of the segments; those of a single one are not copied."""
    return {
        name: kept_values.joined([segment[name] for segment in segments]) for name in segments[0]
    }


@contextlib.contextmanager
def _about_adapters() -> Iterator[None]:
    """An ArtifactError inside becomes a RequestError about ADAPTER."""
    try:
        yield
    except ArtifactError as failure:
        raise RequestError(f"ADAPTER cannot be used: {failure}", field="ADAPTER") from None


def _reference_key(images: Sequence[np.ndarray], adapters: LoadedAdapters) -> Hashable:
    """The key of the keys and values of images in the network with these adapters."""
    return key_of(*images), adapters.key
