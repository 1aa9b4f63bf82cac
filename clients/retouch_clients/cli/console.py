"""What a person sees of an edit in the terminal: a bar while it runs, what was understood, the lane
and the times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from retouch.api.response import EditAnswer
from retouch_clients.cli.output_files import write_output
from retouch_clients.shipped_checkpoint import abilities

console = Console(highlight=False)
aside = Console(
    highlight=False, stderr=True
)  # errors, and all words where standard output is for a machine


def with_progress(answers: Iterator[EditAnswer], to: Console = console) -> Iterator[EditAnswer]:
    """The answers, while a bar shows the steps; then what was done and the milliseconds of each
    stage.

    Where nobody watches, each answer has a line in place of the bar.
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
            if bar.disable:
                to.print("step {} of {}".format(*answer.step))
            yield answer
    if answer is not None:
        report(answer, to)


def report(answer: EditAnswer, to: Console = console) -> None:
    info = answer.info
    for operation in info.operations:
        words = " ".join(filter(None, (operation.op, operation.target, operation.value)))
        to.print(f"understood: {escape(words)}")
    if known := abilities.behind(info):
        if not info.operations:
            to.print("understood: nothing")
        to.print(escape(known), style="dim", soft_wrap=True)
    share = f", {info.region.share:.0%} of the image" if info.region else ""
    to.print(f"seed {info.seed}, {info.steps} steps{share}")
    to.print(f"lane {info.lane}, {escape(info.lane_reason)}")
    to.print(
        "ms: " + ", ".join(f"{stage} {spent:.1f}" for stage, spent in info.milliseconds.items())
    )


def save(path: Path, answer: EditAnswer, to: Console = console, force: bool = False) -> None:
    """Write the picture, and say so; OutputError."""
    if write_output(path, answer.image, force):
        to.print(f"made the folder {escape(click.format_filename(path.parent))}", soft_wrap=True)
    to.print(f"wrote {escape(click.format_filename(path))}", soft_wrap=True)


def write(path: Path, data: bytes) -> None:
    """The file, whole or not at all, with its folder; in place of an older one. OutputError."""
    write_output(path, data, force=True)


def is_interactive(to: Console) -> bool:
    """Whether a person watches; a pipe gets no bars, even where colours are forced."""
    return to.is_terminal and to.file.isatty()
