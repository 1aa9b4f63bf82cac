"""One run of `retouch evaluate`: edits, judging, figures, report."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from retouch.api.errors import RequestError
from retouch.api.fields import BY_NAME
from retouch.client import AsyncRetouch, Retries
from retouch_clients.addresses.server_options import running_url
from retouch_clients.batch.summary import print_summary
from retouch_clients.cli.console import console, error_console
from retouch_clients.cli.exit_codes import Exit
from retouch_clients.cli.output_files import write_output
from retouch_clients.evaluation import edits, pairwise, report
from retouch_clients.evaluation.answers import NAME as ANSWERS
from retouch_clients.evaluation.answers import Answers, Asked, ask_all
from retouch_clients.evaluation.bradley_terry import compare
from retouch_clients.evaluation.edits import Method
from retouch_clients.evaluation.item import Item
from retouch_clients.evaluation.judge import Judge
from retouch_clients.evaluation.scoring import score
from retouch_clients.evaluation.suites import SUITES, Suite, SuiteError
from retouch_clients.option_names import OPTION_OF

HTML = "report.html"
JSON = "evaluation.json"
RETRIES = Retries(attempts=8)  # about 17 s, enough for a server restart
SHOWN_ERRORS = 20  # of edits
RESUME = "not finished; run the same command again to resume"


@dataclass(frozen=True)
class Settings:
    """The options of the command. `options` are EditRequest's attributes that all edits share."""

    suite: str
    data: Path
    out: Path
    lane: str
    options: Mapping[str, Any]
    seed: int = 0
    repeats: int = 3
    limit: int | None = None
    sides: Sequence[str] = ()
    judge: Judge | None = None
    judge_workers: int = 4
    workers: int = 4
    url: str | None = None
    http: bool = False
    timeout: float | None = None
    force: bool = False


def run(settings: Settings) -> Exit:
    """Do what is left of the evaluation and write the report.

    RequestError without a server, JudgeError without a judge, click.UsageError for other data."""
    suite = SUITES[settings.suite]
    _check_folders(settings, suite)
    check_options(settings.options, _lanes(settings))
    try:
        items = suite.read(settings.data, settings.out)
        chosen = evenly(items, settings.limit)
        with _resumable():
            if settings.sides:
                return _compare(settings, suite, chosen)
            return _evaluate(settings, suite, chosen, len(items))
    except SuiteError as failure:
        raise click.UsageError(str(failure)) from None


def _lanes(settings: Settings) -> list[str]:
    """The lanes that edits are made in; the other sides are folders."""
    if not settings.sides:
        return [settings.lane]
    return [name for name in settings.sides if not Path(name).is_dir()]


def evenly(items: Sequence[Item], limit: int | None) -> list[Item]:
    """`limit` of the items, evenly spaced, as lists are sorted by kinds of edits."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[number * len(items) // limit] for number in range(limit)]


@contextlib.contextmanager
def _resumable() -> Iterator[None]:
    """Say on the way out of an interruption or an error how to go on."""
    try:
        yield
    except (click.UsageError, SuiteError):
        raise
    except BaseException:
        error_console.print(RESUME)
        raise


def _check_folders(settings: Settings, suite: Suite) -> None:
    out, data = settings.out.resolve(), settings.data.resolve()
    if out == data or out in data.parents:
        raise click.UsageError(
            f"--out {settings.out} holds the data; choose another folder for the results"
        )
    try:
        earlier = json.loads((out / JSON).read_text())["suite"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if earlier != suite.title:
        raise click.UsageError(f"--out {settings.out} is that of {earlier}; choose another folder")


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
        _facts(settings, items, count),
        shown,
        judge=settings.judge.model if settings.judge else "",
        repeats=settings.repeats,
        answers=answers,
        scores=scores,
        notes=_notes(settings, answers, failed),
    )
    _print_figures(result)
    _write(settings, suite, result, names)
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


def check_options(options: Mapping[str, Any], lanes: Iterable[str]) -> None:
    """RequestError for a value that no edit could have, in the names of the options."""
    values = [*options.items(), *(("precision", lane) for lane in lanes)]
    for name, value in values:
        field = BY_NAME[name.upper()]
        try:
            field.check(field.name, value)
        except RequestError as failure:
            names = OPTION_OF | {"PRECISION": "--lane"}
            raise RequestError(failure.renamed(names), failure.code, field=failure.field) from None


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
    lanes = _lanes(settings)
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
        _facts(settings, items, len(items)) | {"sides": ", ".join(settings.sides)},
        _shown_pairs(suite, items, sides),
        judge=settings.judge.model,
        repeats=repeats,
        answers=answers,
        comparisons=compare([side.name for side in sides], outcomes),
        outcomes=outcomes,
        notes=_notes(settings, answers, failed, repeats),
    )
    _print_comparisons(result)
    _write(settings, suite, result, [])
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


def _facts(settings: Settings, items: Sequence[Item], count: int) -> dict[str, str]:
    last = settings.seed + settings.repeats - 1
    seeds = str(settings.seed) if last == settings.seed else f"{settings.seed} to {last}"
    of_all = f"{len(items)} of {count}" if len(items) < count else str(count)
    own = {
        name: str(value.decode() if isinstance(value, bytes) else value)
        for name, value in settings.options.items()
        if value != BY_NAME[name.upper()].default
    }
    lane = {} if settings.sides else {"lane": settings.lane}
    return {"items": of_all, **lane, "seeds": seeds, **own}


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


def _write(settings: Settings, suite: Suite, result: report.Report, methods: Sequence[str]) -> None:
    for note in result.notes:
        console.print(escape(note), soft_wrap=True)
    for name, content in ((JSON, report.as_json(result)), (HTML, report.as_html(result))):
        write_output(settings.out / name, content, force=True)
        path = escape(click.format_filename(settings.out / name))
        console.print(f"wrote {path}", soft_wrap=True)
    if settings.judge:
        console.print(f"answers: {escape(str(settings.out / ANSWERS))}", soft_wrap=True)
    for method in methods:
        command = suite.script(settings.data, settings.out, method)
        console.print(f"the authors' script: {escape(command)}", soft_wrap=True)


def _print_figures(result: report.Report) -> None:
    if not result.judge:
        return
    console.print(escape(f"judge {result.judged_by}"), soft_wrap=True)
    table = Table("figure", "mean", "deviation", "pictures", box=None, pad_edge=False)
    for spread in result.scores.figures:
        deviation = "–" if spread.deviation is None else f"{spread.deviation:.2f}"
        counts = " / ".join(map(str, spread.counts))
        table.add_row(escape(spread.name), f"{spread.mean:.2f}", deviation, counts)
    console.print(table)


def _print_comparisons(result: report.Report) -> None:
    console.print(escape(f"judge {result.judged_by}"), soft_wrap=True)
    for each in result.comparisons:
        counts = f"{each.wins} won, {each.ties} tied, {each.losses} lost"
        share, elo = report.share_text(each), report.elo_text(each)
        text = f"{each.method}: {counts}; share of wins {share}, Elo {elo}"
        console.print(escape(text), soft_wrap=True)
