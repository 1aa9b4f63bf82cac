"""What a person sees of an edit in the terminal: a bar while it runs, what was understood, the lane and the times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from retouch.answer import EditAnswer

console = Console(highlight=False)


def with_progress(answers: Iterator[EditAnswer]) -> Iterator[EditAnswer]:
    """The answers, while a bar shows the steps; then what was done and the milliseconds of each stage."""
    columns = (TextColumn("editing"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TimeElapsedColumn())
    answer = None
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("edit", total=None)
        for answer in answers:
            bar.update(task, completed=answer.step[0], total=answer.step[1])
            yield answer
    if answer is not None:
        report(answer)


def report(answer: EditAnswer) -> None:
    info = answer.info
    for operation in info.operations:
        console.print("understood: " + " ".join(filter(None, (operation.op, operation.target, operation.value))))
    share = f", {info.region.share:.0%} of the image" if info.region else ""
    console.print(f"seed {info.seed}, {info.steps} steps{share}")
    console.print(f"lane {info.lane}, {info.lane_reason}")
    console.print("ms: " + ", ".join(f"{stage} {spent:.1f}" for stage, spent in info.milliseconds.items()))


def save(path: Path, answer: EditAnswer) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(answer.image)
    console.print(f"wrote {path}")
