"""`retouch feedback`: send feedback on an answer, delete it, and report what it says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from retouch.client.feedback import URL, send_feedback
from retouch.util import env, extras
from retouch_clients.cli.console import console, error_console
from retouch_clients.cli.exit_codes import EPILOG, Exit
from retouch_clients.cli.output_files import replace_file
from retouch_clients.edit_options import TEXT
from retouch_clients.feedback.settings import KINDS, check_store

if TYPE_CHECKING:
    from retouch_clients.feedback.records import Labelled
    from retouch_clients.feedback.store import Store

OUTPUT = click.Path(dir_okay=False, path_type=Path)
STORE = click.option(
    "--store", envvar=env.FEEDBACK.name, required=True, metavar="STORE", help=f"The store: {KINDS}."
)


@click.group(short_help="Feedback on answers: send, delete, report.")
def feedback() -> None:
    """Send feedback on an answer, delete it, and report how scores agree with it.

    `retouch openai --feedback STORE` and `retouch web --feedback STORE` take feedback."""


@feedback.command(epilog=EPILOG)
@click.argument("request_id")
@click.option("--thumb", type=click.Choice(["up", "down"]), help="Good or bad.")
@click.option("--score", type=click.FloatRange(0, 1), help="Instead of a thumb: 0 bad, 1 good.")
@click.option("--reason", type=TEXT, default="", help="Why, at most 2,000 characters.")
@click.option("--index", type=click.IntRange(0), default=0, help="Which of several results.")
@click.option("--idempotency-key", type=TEXT, default="", metavar="TEXT", help="Adds feedback.")
@click.option("--url", default=URL, show_default=True, help="Address of `retouch openai`.")
def send(
    request_id: str,
    thumb: str | None,
    score: float | None,
    reason: str,
    index: int,
    idempotency_key: str,
    url: str,
) -> None:
    """Rate the answer with this request id (the header x-request-id).

    RETOUCH_API_KEY is the key that made the answer."""
    if (thumb is None) == (score is None):
        raise click.UsageError("pass either --thumb or --score")
    stored = send_feedback(
        request_id,
        thumb="up" if thumb == "up" else "down" if thumb else None,
        score=score,
        reason=reason,
        index=index,
        idempotency_key=idempotency_key,
        url=url,
        api_key=env.API_KEY.get(),
    )
    state = "was stored before" if stored["repeated"] else "is stored"
    console.print(f"feedback on {request_id} {state}: {stored['id']}")


@feedback.command()
@click.argument("request_id")
@STORE
def delete(request_id: str, store: str) -> None:
    """Delete a request's answers, with their images and the feedback on them."""
    opened = _opened(store)
    done = opened.delete(request_id)
    opened.close()
    if not done.answers:
        error_console.print(f"[red]Error[/]: there is no answer {escape(request_id)}")
        click.get_current_context().exit(Exit.FAILED)
    console.print(
        f"deleted: {done.answers} answers, {done.feedback} feedbacks, {done.images} images"
    )


@feedback.command()
@STORE
@click.option("--score", default="score", show_default=True, help="Name of the evaluator's score.")
@click.option("-o", "--out", type=OUTPUT, help="Write the report with its plots to this HTML file.")
@click.option("--propose", type=OUTPUT, metavar="FILE", help="Write thresholds to this JSON file.")
def report(store: str, score: str, out: Path | None, propose: Path | None) -> None:
    """Report by lane how the evaluator's scores agree with people's feedback.

    --propose chooses thresholds on one half of the answers, certifies them on the other, and writes
    them with their evidence. Nothing applies them."""
    extras.check("feedback")
    from retouch_clients.feedback.agreement import agreement, groups
    from retouch_clients.feedback.report_page import report_page
    from retouch_clients.feedback.report_text import COLUMNS, SELECTED, notes_of, row_of

    opened = _opened(store)
    counts, labelled = opened.counts(), opened.labelled()
    opened.close()
    now = time.time()
    agreements = [agreement(group, score) for group in groups(labelled)]
    console.print(f"{counts[0]} answers, {counts[1]} feedbacks")
    if agreements:
        table = Table(*COLUMNS)
        for entry in agreements:
            table.add_row(*map(escape, row_of(entry)))
        console.print(table)
    for note in [*notes_of(agreements), SELECTED]:
        console.print(escape(note), soft_wrap=True)
    if out:
        replace_file(out, report_page(agreements, counts, score, now).encode())
        console.print(f"report: {out}", soft_wrap=True)
    if propose:
        _propose(propose, labelled, score, now)


def _propose(path: Path, labelled: list[Labelled], score: str, now: float) -> None:
    from retouch.quality.thresholds.file import to_text
    from retouch_clients.feedback.proposal import lines, proposed

    try:
        thresholds = proposed(labelled, score, now)
    except ValueError as failure:  # too few answers, or scores that are no shares
        console.print(escape(f"no proposal: {failure}."), soft_wrap=True)
        return
    for line in lines(thresholds):
        console.print(escape(line), soft_wrap=True)
    replace_file(path, to_text(thresholds).encode())
    console.print(f"proposal: {path}; nothing applies it", soft_wrap=True)


def _opened(store: str) -> Store:
    extras.check("feedback")
    check_store(store)
    from retouch_clients.feedback.database import Database, url_of
    from retouch_clients.feedback.store import Store

    url = url_of(store)
    if url.drivername == "sqlite" and not Path(url.database or "").is_file():
        raise click.UsageError(f"there is no store {url.database}")
    return Store(Database(url))
