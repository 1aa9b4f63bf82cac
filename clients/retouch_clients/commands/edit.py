"""`retouch edit`: edit one image."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from retouch.api.errors import RequestError
from retouch.api.fields import BY_NAME
from retouch.api.limits import MAX_STEPS
from retouch.api.response import EditAnswer
from retouch.client import Retouch
from retouch_clients.addresses.server_options import address_options, server_url
from retouch_clients.cli.console import console, error_console
from retouch_clients.cli.edit_report import save, with_progress
from retouch_clients.cli.exit_codes import EPILOG
from retouch_clients.cli.output_files import (
    STDOUT,
    OutputExists,
    check_output,
    check_stdout,
    format_of,
    write_stdout,
)
from retouch_clients.edit_options import (
    FILE,
    FORCE,
    SENTENCE,
    TIMEOUT,
    edit_options,
    option,
    read_files,
    request_options,
)
from retouch_clients.option_names import option_names
from retouch_clients.shipped_checkpoint import abilities


@click.command(epilog=f"{abilities.shipped()}\n\n{EPILOG}".strip(), short_help="Edit one image.")
@click.argument("image", type=FILE)
@click.argument("instruction", type=SENTENCE)
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="out.png",
    show_default=True,
    help="A .png, .jpg, .jpeg or .webp file, or - for standard output. "
    "Missing folders are created.",
)
@FORCE
@address_options
@click.option("--start", is_flag=True, help="Start a server for this edit if none is running.")
@edit_options
@option(BY_NAME["PREVIEWS"], default=4)
@click.option("--save-previews", is_flag=True, help="Write the previews beside the result.")
@TIMEOUT
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print only the edit's INFO, as JSON.",
)
def edit(
    image: Path,
    instruction: str,
    out: str,
    force: bool,
    url: str | None,
    http: bool,
    start: bool,
    previews: int,
    save_previews: bool,
    timeout: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Edit IMAGE by INSTRUCTION, for example: retouch edit photo.jpg "make it warmer" -o
    warm.jpg"""
    to = error_console if as_json or out == STDOUT else console
    with option_names(has_mask=options["mask"]):
        fields: dict[str, Any] = read_files(request_options(options)) | {
            "format": _checked(out, options["format"], save_previews, as_json, force)
        }
        with server_url(url, http, start, to) as address:
            client = Retouch(address, http, timeout=timeout)
            answers = client.edit(image.read_bytes(), instruction, previews=previews, **fields)
            with contextlib.closing(answers):
                for answer in with_progress(answers, to):
                    if save_previews and not answer.final:
                        save(_preview(Path(out), answer.step[0]), answer, to, force)
    _deliver(out, answer, to, force)
    if as_json:
        click.echo(answer.info.to_json())


def _checked(out: str, format_: str | None, save_previews: bool, as_json: bool, force: bool) -> str:
    """The result's FORMAT; click.ClickException if the result cannot be written."""
    try:
        chosen = format_of(out, format_)
    except RequestError:
        raise
    except ValueError as failure:
        raise click.UsageError(str(failure)) from None
    if out == STDOUT:
        if save_previews or as_json:
            raise click.UsageError(
                "-o - cannot be combined with --json or --save-previews; pass a file name to -o"
            )
        check_stdout()
        return chosen
    path = Path(out)
    check_output(path, force)
    if save_previews and not force:
        previews = (_preview(path, step) for step in range(MAX_STEPS + 1))
        existing = next(filter(os.path.lexists, previews), None)
        if existing:
            raise OutputExists(existing)
    return chosen


def _preview(out: Path, step: int) -> Path:
    return out.with_name(f"{out.stem}.step{step:02d}{out.suffix}")


def _deliver(out: str, answer: EditAnswer, to: Console, force: bool) -> None:
    if out == STDOUT:
        write_stdout(answer.image)
    else:
        save(Path(out), answer, to, force)
