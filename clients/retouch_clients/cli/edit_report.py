"""What the terminal shows of an edit: progress, the recognised operations, the lane and times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from retouch.api.response import EditAnswer
from retouch_clients.cli.console import console, is_interactive
from retouch_clients.cli.output_files import write_output
from retouch_clients.shipped_checkpoint import abilities


def with_progress(answers: Iterator[EditAnswer], to: Console = console) -> Iterator[EditAnswer]:
    """Yield the answers while a progress bar counts the steps, then print the report.

    Without a terminal, print one line for each answer instead of the bar.
    """
    columns = (
        TextColumn("editing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
    )
    answer = None
    with Progress(*columns, console=to, disable=not is_interactive(to)) as bar:
        task = bar.add_task("edit", total=None)
        for answer in answers:
            bar.update(task, completed=answer.step[0], total=answer.step[1])
            if bar.disable and answer.step[1]:  # none where nothing is asked for
                to.print("step {} of {}".format(*answer.step))
            yield answer
    if answer is not None:
        report(answer, to)


def report(answer: EditAnswer, to: Console = console) -> None:
    """Print what was understood, seed, steps, drift, detail, lane and milliseconds by stage."""
    info = answer.info
    for operation in info.operations:
        parts = filter(None, (operation.op, operation.target, operation.value))
        to.print(f"understood: {escape(' '.join(parts))}")
    if info.hint:
        to.print(f"not understood: {escape(info.hint.message)}", soft_wrap=True)
        print_examples(info.hint.examples, to)
    known = "" if info.operations and info.understood is not False else abilities.behind(info)
    if known:
        if not info.operations:
            to.print("understood: nothing")
        to.print(escape(known), style="dim", soft_wrap=True)
    share = f", {info.region.share:.0%} of the image" if info.region else ""
    to.print(f"seed {info.seed}, {info.steps} steps{share}")
    if info.drift and info.drift.shift and any(info.drift.shift):
        right, down = info.drift.shift
        undone = ", undone" if info.drift.undone else ""
        to.print(f"drift: {right:+.2f} px right, {down:+.2f} px down{undone}")
    if info.detail:
        kept, enlarged = info.detail.transform, info.detail.composite
        to.print(f"detail: {kept:.0%} of the source image's, {enlarged:.0%} enlarged")
    to.print(f"lane {info.lane}, {escape(info.lane_reason)}")
    times = (f"{stage} {milliseconds:.1f}" for stage, milliseconds in info.milliseconds.items())
    to.print(f"ms: {', '.join(times)}")


def print_examples(examples: Iterable[str], to: Console) -> None:
    """A line for each instruction that the checkpoint understands."""
    for example in examples:
        to.print(f"Try: {escape(example)}", soft_wrap=True)


def save(path: Path, answer: EditAnswer, to: Console = console, force: bool = False) -> None:
    """Write the image to `path` and print where it is; OutputError."""
    if write_output(path, answer.image, force):
        to.print(f"made the folder {escape(click.format_filename(path.parent))}", soft_wrap=True)
    to.print(f"wrote {escape(click.format_filename(path))}", soft_wrap=True)
