"""One run of `retouch evaluate`: edits, judging, figures, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.markup import escape

from retouch.client import AsyncRetouch
from retouch_clients.addresses.server_options import running_url
from retouch_clients.batch.progress import resumable
from retouch_clients.batch.run import RETRIES
from retouch_clients.batch.summary import print_summary
from retouch_clients.cli.console import console
from retouch_clients.cli.exit_codes import Exit
from retouch_clients.cli.output_files import write_output
from retouch_clients.evaluation import edits, pairwise, report
from retouch_clients.evaluation.answers import NAME as ANSWERS
from retouch_clients.evaluation.answers import Answers, Asked, ask_all
from retouch_clients.evaluation.bradley_terry import compare
from retouch_clients.evaluation.edits import Method
from retouch_clients.evaluation.item import Item
from retouch_clients.evaluation.scoring import score
from retouch_clients.evaluation.settings import (
    JSON,
    Settings,
    check_folders,
    check_options,
    facts,
)
from retouch_clients.evaluation.suites import SUITES, Suite, SuiteError
from retouch_clients.evaluation.summary import print_comparisons, print_figures

FILES = (JSON, "report.html")
PAIRWISE_FILES = ("pairwise.json", "pairwise.html")
SHOWN_ERRORS = 20  # of edits


def run(settings: Settings) -> Exit:
    """Do what is left of the evaluation and write the report.

    RequestError without a server, JudgeError without a judge, click.UsageError for other data."""
    suite = SUITES[settings.suite]
    check_folders(settings, suite)
    check_options(settings)
    try:
        items = suite.read(settings.data, settings.out)
        chosen = evenly(items, settings.limit)
        with resumable(click.UsageError, SuiteError):
            if settings.sides:
                return _compare(settings, suite, chosen)
            return _evaluate(settings, suite, chosen, len(items))
    except SuiteError as failure:
        raise click.UsageError(str(failure)) from None


def evenly(items: Sequence[Item], limit: int | None) -> list[Item]:
    """`limit` of the items, evenly spaced, as lists are sorted by kinds of edits."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[number * len(items) // limit] for number in range(limit)]


# -- figures of one lane ---------------------------------------------------------------------------


def _evaluate(settings: Settings, suite: Suite, items: list[Item], count: int) -> Exit:
    methods = edits.methods_of(settings.lane, settings.seed, settings.repeats)
    names = [method.name for method in methods]
    failed = _make_edits(settings, suite, items, methods)
    answers = Answers()
    if settings.judge:
        answers = ask_all(
            settings.judge,
            _questions(suite, items, names, settings.out),
            settings.out,
            settings.judge_workers,
        )
    scores = score(suite, items, names, answers)
    shown = [
        report.Shown(item, [("source", item.image), *_results(settings.out, suite, names, item)])
        for item in items
    ]
    result = report.Report(
        suite.title,
        facts(settings, items, count),
        shown,
        judge=settings.judge.model if settings.judge else "",
        repeats=settings.repeats,
        answers=answers,
        scores=scores,
        notes=_notes(settings, answers, failed),
    )
    print_figures(result)
    _write(settings, result, FILES)
    for method in names:
        command = suite.script(settings.data, settings.out, method)
        console.print(f"the authors' script: {escape(command)}", soft_wrap=True)
    return Exit.FAILED if failed else Exit.OK


def _make_edits(
    settings: Settings, suite: Suite, items: list[Item], methods: Sequence[Method]
) -> int:
    """Make the edits that are left. Returns how many failed."""
    suite.prepare(settings.data, settings.out, [method.name for method in methods], items)
    todo = edits.jobs(suite, items, methods, settings.options)
    url = running_url(settings.url, settings.http)
    client = AsyncRetouch(url, settings.http, timeout=settings.timeout, retries=RETRIES)
    result = edits.run(todo, settings.out, client, settings.workers, settings.force)
    print_summary(result, most=SHOWN_ERRORS)
    return len(result.failed)


def _results(out: Path, suite: Suite, methods: Sequence[str], item: Item) -> list[tuple[str, Path]]:
    """The pictures of an item that exist, by method."""
    paths = [(method, suite.result_path(out, method, item)) for method in methods]
    return [(method, path) for method, path in paths if path.is_file()]


def _questions(
    suite: Suite, items: Sequence[Item], methods: Sequence[str], out: Path
) -> list[Asked]:
    return [
        Asked(method, item.name, question)
        for item in items
        for method, path in _results(out, suite, methods, item)
        for question in suite.questions(item, path)
    ]


# -- comparisons -----------------------------------------------------------------------------------


def _compare(settings: Settings, suite: Suite, items: list[Item]) -> Exit:
    assert settings.judge is not None  # the command refuses it without
    lanes = settings.lanes
    methods = {lane: edits.methods_of(lane, settings.seed, settings.repeats) for lane in lanes}
    failed = 0
    if lanes:
        every = [method for lane in lanes for method in methods[lane]]
        failed = _make_edits(settings, suite, items, every)
    sides = [
        pairwise.Side(
            name,
            tuple(suite.method_folder(settings.out, method.name) for method in methods[name]),
        )
        if name in methods
        else pairwise.side_of_folder(suite, Path(name), items)
        for name in settings.sides
    ]
    compared = pairwise.pairs(suite, items, sides)
    if not compared:
        raise SuiteError(f"{' and '.join(settings.sides)} have no item in common")
    answers = ask_all(
        settings.judge,
        pairwise.questions(suite, compared),
        settings.out,
        settings.judge_workers,
    )
    outcomes = pairwise.outcomes(compared, answers)
    repeats = len({pair.repeat for pair in compared})
    result = report.Report(
        suite.title,
        facts(settings, items, len(items)) | {"sides": ", ".join(settings.sides)},
        _shown_pairs(suite, items, sides),
        judge=settings.judge.model,
        repeats=repeats,
        answers=answers,
        comparisons=compare([side.name for side in sides], outcomes),
        outcomes=outcomes,
        notes=_notes(settings, answers, failed, repeats),
    )
    print_comparisons(result)
    _write(settings, result, PAIRWISE_FILES)
    return Exit.FAILED if failed else Exit.OK


def _shown_pairs(
    suite: Suite, items: Sequence[Item], sides: Sequence[pairwise.Side]
) -> list[report.Shown]:
    shown = []
    for item in items:
        pictures = [
            (f"{side.name}, repeat {repeat}", folder / suite.result(item))
            for side in sides
            for repeat, folder in enumerate(side.folders)
        ]
        existing = [(caption, path) for caption, path in pictures if path.is_file()]
        shown.append(report.Shown(item, [("source", item.image), *existing]))
    return shown


# -- what is told ----------------------------------------------------------------------------------


def _notes(
    settings: Settings, answers: Answers, failed: int, repeats: int | None = None
) -> list[str]:
    notes = []
    if failed:
        notes.append(f"{failed} edits failed: the figures are of the others alone")
    if settings.judge:
        notes += report.warnings(settings.repeats if repeats is None else repeats, answers)
        notes.append(
            "The judge was asked with questions of Retouch. The authors' scripts judge the same "
            "folders with theirs, and only their figures compare with published ones."
        )
    return notes


def _write(settings: Settings, result: report.Report, names: tuple[str, str]) -> None:
    """Print the notes, and write the numbers and the page under these names; OutputError."""
    for note in result.notes:
        console.print(escape(note), soft_wrap=True)
    for name, content in zip(names, (report.as_json(result), report.as_html(result))):
        write_output(settings.out / name, content, force=True)
        path = escape(click.format_filename(settings.out / name))
        console.print(f"wrote {path}", soft_wrap=True)
    if settings.judge:
        console.print(f"answers: {escape(str(settings.out / ANSWERS))}", soft_wrap=True)
