"""`retouch batch`: many images, and what a stopped batch has done already is not done again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from retouch.client import AsyncRetouch, Retries
from retouch_clients.addresses.server_options import address, running_url
from retouch_clients.batch.folder import Listing, listing, suffixes
from retouch_clients.batch.job import Job, ListError, jobs_of_folder, jobs_of_list
from retouch_clients.batch.journal import Journal
from retouch_clients.batch.run import Run, run
from retouch_clients.cli.console import aside, console, is_interactive
from retouch_clients.cli.exit_codes import EPILOG, Exit
from retouch_clients.edit_options import FILE, FORCE, SENTENCE, TIMEOUT, asked, knobs

PATIENT = Retries(attempts=8)  # some 17 s, in which a server may be started again


@click.command(epilog=EPILOG, short_help="Change all images of a folder or a list.")
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False
)
@click.argument("instruction", type=SENTENCE, required=False)
@click.option(
    "--list", "list_", type=FILE, help="Edit the rows of this file instead of a folder's images."
)
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The folder of the results. A missing one is made.",
)
@FORCE
@click.option(
    "--workers", type=click.IntRange(1, 64), default=4, show_default=True, help="Edits at a time."
)
@address
@knobs
@TIMEOUT
def batch(
    folder: Path | None,
    instruction: str | None,
    list_: Path | None,
    out: Path,
    force: bool,
    workers: int,
    url: str | None,
    http: bool,
    timeout: float | None,
    **options: Any,
) -> None:
    """Change all images of FOLDER as INSTRUCTION says, or do the rows of a list.

    A list is a CSV file with a head, or has a JSON object in each line. Its columns are image and
    instruction, and, where they are to differ, out (the result's name), mask, references (with ;
    between) and the other options' names with _ for -. Paths are relative to the list.

    OUT/journal.jsonl says what was done. The same command again does the rest, and what has failed;
    an image, a sentence or an option that has changed is another edit. With --seed, or a list's
    seed, an edit has that one; without, each draws its own, which the journal tells. Results of
    another edit are overwritten with --force alone."""
    content = listing(folder, out) if folder else Listing()
    jobs = _jobs(folder, instruction, list_, asked(options), content)
    if out.resolve() in {job.image.resolve().parent for job in jobs}:
        raise click.UsageError(
            f"{out} holds the images themselves; take another folder for the results"
        )
    for sentence in content.skipped():
        console.print(escape(sentence), soft_wrap=True)
    is_new = not out.exists()
    client = AsyncRetouch(running_url(url, http), http, timeout=timeout, retries=PATIENT)
    columns = (
        TextColumn("editing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("[red]{task.fields[failed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with (
        Journal(out) as journal,
        Progress(*columns, console=console, disable=not is_interactive(console)) as bar,
    ):
        if is_new:
            console.print(f"made the folder {escape(click.format_filename(out))}", soft_wrap=True)
        task = bar.add_task("batch", total=len(jobs), failed="")

        def tell(found: Run) -> None:
            failed = len(found.failed)
            bar.update(
                task,
                completed=found.done + found.before + failed,
                failed=f"{failed} failed" if failed else "",
            )

        try:
            found = asyncio.run(run(jobs, out, client, journal, workers, tell, force))
        except BaseException:
            aside.print("not finished; the same command goes on from here")
            raise
    _report(found)
    click.get_current_context().exit(Exit.FAILED if found.failed else Exit.OK)


def _jobs(
    folder: Path | None,
    instruction: str | None,
    list_: Path | None,
    fields: dict[str, Any],
    content: Listing,
) -> list[Job]:
    try:
        if list_ and not folder:
            jobs = jobs_of_list(list_, fields, content.hidden)
        elif folder and instruction and not list_:
            jobs = jobs_of_folder(folder, instruction, fields)
        else:
            raise click.UsageError("give either FOLDER and INSTRUCTION, or --list FILE")
    except ListError as failure:
        raise click.UsageError(str(failure)) from None
    if not jobs:
        raise click.UsageError(f"{list_ or folder} holds no images; they end in {suffixes()}")
    return jobs


def _report(found: Run) -> None:
    before = f", {found.before} done before" if found.before else ""
    console.print(f"{found.done} done{before}, {len(found.failed)} failed")
    if found.failed:
        table = Table("image", "why", box=None, pad_edge=False)
        for job, failure in found.failed:
            table.add_row(escape(job.image.name), escape(str(failure)))
        console.print(table)
