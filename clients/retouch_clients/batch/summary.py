"""What the terminal shows of a batch that has ended."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from retouch_clients.batch.run import Run
from retouch_clients.cli.console import console


def print_summary(result: Run, most: int | None = None) -> None:
    """Print how many edits ended how, and the errors of those that failed, or of `most` of them."""
    before = f", {result.done_before} done before" if result.done_before else ""
    console.print(f"{result.done} done{before}, {len(result.failed)} failed")
    if result.failed:
        table = Table("image", "error", box=None, pad_edge=False)
        for job, failure in result.failed[:most]:
            table.add_row(escape(job.image.name), escape(str(failure)))
        console.print(table)
        if most is not None and len(result.failed) > most:
            console.print(f"and {len(result.failed) - most} more, in the journal")
