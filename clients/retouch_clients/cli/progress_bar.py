"""The progress bar of commands that do many things of one kind."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from retouch_clients.cli.console import console, is_interactive


class ProgressBar:
    """A bar of `total` things with the word `label`. Without a terminal it shows nothing."""

    def __init__(self, label: str, total: int, to: Console = console):
        columns = (
            TextColumn(label),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[red]{task.fields[failed]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=to, disable=not is_interactive(to))
        self._task = self._progress.add_task(label, total=total, failed="")

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, ended: int, failed: int = 0) -> None:
        """Things that have ended so far, and how many of them failed."""
        text = f"{failed} failed" if failed else ""
        self._progress.update(self._task, completed=ended, failed=text)
