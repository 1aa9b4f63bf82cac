"""Baselines on the same graphs: without a reference cache, and without a scheduler."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from retouch.engine.denoiser import Denoiser
from retouch.engine.edit import Edit
from retouch.engine.edit_state import EditState, Progress
from retouch.families.instructx.parser import Parser
from retouch.families.vae import VaeEncoder
from retouch.offline.plain_loop import PlainLoop

BATCH = 8
WAIT = 0.05  # of static batches: edits at most, and seconds that the first waits for others


class Recomputing(Denoiser):
    """Computes the reference's keys and values at every step, as pipelines without a cache do."""

    def __init__(self, folder: Path):
        super().__init__(folder, reference_bytes=0)

    def step(self, edits: Sequence[EditState]) -> list[Progress]:
        done = super().step(edits)
        for edit in edits:
            self.end(edit)  # nobody holds the source now, so it is forgotten
        return done


class Forgetful(PlainLoop):
    """A plain loop that keeps nothing across steps or edits."""

    def __init__(self, repository: Path):
        super().__init__(repository)
        self.parser = Parser(repository / "vl_parser" / "1", image_bytes=0, parsed_bytes=0)
        self.encoder = VaeEncoder(repository / "vae_encoder" / "1", bytes=0)
        self.denoiser = Recomputing(repository / f"denoiser_{self.lane}" / "1")


class OneByOne:
    """A queue and a thread that runs one edit after the other."""

    most = 1
    wait = 0.0

    def __init__(self, denoiser: Denoiser):
        self._denoiser = denoiser
        self._coming: queue.SimpleQueue[Edit | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def admit(self, edit: Edit) -> None:
        self._coming.put(edit)

    def stop(self) -> None:
        self._coming.put(None)
        self._thread.join()

    def _loop(self) -> None:
        while (first := self._coming.get()) is not None:
            self._run(self._gather(first))

    def _gather(self, first: Edit) -> list[Edit]:
        """The first edit, and those that arrive while it may wait."""
        batch = [first]
        until = first.admitted + self.wait
        while len(batch) < self.most:
            try:
                batch.append(self._coming.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        return batch

    def _run(self, batch: list[Edit]) -> None:
        """Run all steps of the edits of one size together, size after size."""
        for edit in batch:
            edit.state = self._denoiser.begin(edit.request)
        for _, group in groupby(
            sorted(batch, key=lambda edit: edit.batch_key.target_tokens),
            key=lambda edit: edit.batch_key.target_tokens,
        ):
            self._denoise(list(group))

    def _denoise(self, edits: list[Edit]) -> None:
        while any(edit.steps for edit in edits):
            for edit, progress in zip(edits, self._denoiser.step([edit.state for edit in edits])):
                edit.on_progress(progress)
        for edit in edits:
            self._denoiser.end(edit.state)
            edit.on_end(None)


class StaticBatches(OneByOne):
    """Batches whole requests, as Triton's dynamic batcher and LitServe do: no edit joins a running
    batch."""

    most = BATCH
    wait = WAIT
