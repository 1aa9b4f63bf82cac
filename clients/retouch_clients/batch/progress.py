"""A batch in a terminal: its progress bar, and how it goes on after a stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from retouch.client import AsyncRetouch
from retouch_clients.batch.job import Job
from retouch_clients.batch.journal import Journal
from retouch_clients.batch.run import Run, run
from retouch_clients.cli.console import error_console
from retouch_clients.cli.progress_bar import ProgressBar


def run_with_bar(
    jobs: list[Job],
    folder: Path,
    client: AsyncRetouch,
    journal: Journal,
    workers: int,
    force: bool = False,
) -> Run:
    """`run` with a progress bar."""
    with ProgressBar("editing", len(jobs)) as bar:

        def show(progress: Run) -> None:
            failed = len(progress.failed)
            bar.show(progress.done + progress.done_before + failed, failed)

        return asyncio.run(run(jobs, folder, client, journal, workers, show, force))


@contextlib.contextmanager
def resumable(*usage_errors: type[Exception]) -> Iterator[None]:
    """Say how to go on, on the way out of an interruption or an error other than these."""
    try:
        yield
    except usage_errors:
        raise
    except BaseException:
        error_console.print("not finished; run the same command again to resume")
        raise
