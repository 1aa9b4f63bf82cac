"""`retouch batch`: edit many images; a repeated command resumes a stopped batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from retouch.client import AsyncRetouch
from retouch_clients.addresses.server_options import address_options, running_url
from retouch_clients.batch.folder import Listing, listing, suffixes
from retouch_clients.batch.job import Job, ListError, jobs_of_folder, jobs_of_list
from retouch_clients.batch.journal import Journal
from retouch_clients.batch.progress import resumable, run_with_bar
from retouch_clients.batch.run import RETRIES
from retouch_clients.batch.summary import print_summary
from retouch_clients.cli.console import console
from retouch_clients.cli.exit_codes import EPILOG, Exit
from retouch_clients.edit_options import (
    FILE,
    FORCE,
    SENTENCE,
    TIMEOUT,
    WORKERS,
    edit_options,
    out_folder,
    request_options,
)


@click.command(epilog=EPILOG, short_help="Edit all images of a folder or a list.")
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False
)
@click.argument("instruction", type=SENTENCE, required=False)
@click.option("--list", "list_", type=FILE, help="Edit the rows of this file instead of a folder.")
@out_folder("the results")
@FORCE
@WORKERS
@address_options
@edit_options
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
    """Edit all images of FOLDER by INSTRUCTION, or the rows of a list.

    A list is a CSV file with a header, or a file with one JSON object per line. The columns image
    and instruction are required. Optional columns are out (the result's name), mask, references
    (separated by ;) and the other options' names with _ for -. Paths are relative to the list.

    OUT/journal.jsonl records every edit. Run the command again to resume: finished images are
    skipped, failed ones retried. An image with another instruction or other options is a new edit.

    Without a seed, each edit draws its own, which the journal records. Results of a different edit
    are overwritten only with --force."""
    content = listing(folder, out) if folder else Listing()
    jobs = _jobs(folder, instruction, list_, request_options(options), content)
    if out.resolve() in {job.image.resolve().parent for job in jobs}:
        raise click.UsageError(
            f"{out} is the folder of the images; choose another folder for the results"
        )
    for message in content.skipped():
        console.print(escape(message), soft_wrap=True)
    is_new = not out.exists()
    client = AsyncRetouch(running_url(url, http), http, timeout=timeout, retries=RETRIES)
    with Journal(out) as journal:
        if is_new:
            console.print(f"made the folder {escape(click.format_filename(out))}", soft_wrap=True)
        with resumable():
            result = run_with_bar(jobs, out, client, journal, workers, force)
    print_summary(result)
    click.get_current_context().exit(Exit.FAILED if result.failed else Exit.OK)


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
            raise click.UsageError("pass either FOLDER and INSTRUCTION, or --list FILE")
    except ListError as failure:
        raise click.UsageError(str(failure)) from None
    if not jobs:
        raise click.UsageError(
            f"{list_ or folder} contains no images; file names must end in {suffixes()}"
        )
    return jobs
