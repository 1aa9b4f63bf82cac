"""Make edits on a server of its own and write the results, the previews and a contact sheet."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from pathlib import Path

import click
from rich.markup import escape

from retouch.api.response import EditAnswer
from retouch.client import Retouch
from retouch.launcher.log_files import new_log
from retouch.launcher.server import Server
from retouch_clients.cli.console import console
from retouch_clients.cli.edit_report import save, with_progress
from retouch_clients.cli.output_files import check_output, write_output
from retouch_clients.demo.contact_sheet import Row, contact_sheet
from retouch_clients.shipped_checkpoint.examples import Example, examples

SHEET = "contact-sheet.jpg"
QUALITY = 90  # of the sheet


@dataclass(frozen=True)
class Edit:
    """An edit that was made. `seconds` are from sending `source` to the last answer."""

    example: Example
    source: bytes
    answers: list[EditAnswer]
    seconds: float


def run(out: Path, image: Path | None, instruction: str | None, force: bool = False) -> None:
    """Make the example edits, or the one of `image` and `instruction`, and write everything to the
    folder `out`.

    OutputError before a server is started, if a file cannot be written."""
    chosen = _chosen(image, instruction)
    _check(out, chosen, force)
    console.print("starting the server")
    with Server(log=new_log("demo")) as server:
        client = Retouch(f"127.0.0.1:{server.grpc}")
        edits = [_edit(client, example) for example in chosen]
        console.print("stopping the server")
    write(out, edits)


def _chosen(image: Path | None, instruction: str | None) -> list[Example]:
    """All examples; with an image or an instruction one edit, whose other half is the first
    example's. Its files have no name in front."""
    if image and instruction:
        return [Example("", image, instruction)]
    known = examples()
    if not known:
        raise click.UsageError(
            "the sample images are part of a checkout; pass --image and --instruction"
        )
    if image or instruction:
        return [Example("", image or known[0].image, instruction or known[0].instruction)]
    return known


def _edit(client: Retouch, example: Example) -> Edit:
    console.print(f"“{escape(example.instruction)}”")
    source = example.image.read_bytes()
    start = time.perf_counter()
    answers = []
    for answer in with_progress(client.edit(source, example.instruction, seed=0, previews=4)):
        answers.append(answer)
        seconds = time.perf_counter() - start
    return Edit(example, source, answers, seconds)


def _check(out: Path, chosen: list[Example], force: bool) -> None:
    """OutputError if one of the files cannot be written."""
    paths = [out / SHEET]
    for example in chosen:
        previews = sorted(out.glob(_name(example, "preview-*.png")))
        paths += [out / _before(example), out / _name(example, "after.png"), *previews]
    for path in paths:
        check_output(path, force)


def write(out: Path, edits: list[Edit]) -> None:
    """Write the source images, the answers and the contact sheet into the folder.

    Files of an earlier demo are replaced. OutputError."""
    rows = []
    for edit in edits:
        write_output(out / _before(edit.example), edit.source, force=True)
        for answer in edit.answers:
            last = "after.png" if answer.final else f"preview-{answer.step[0]:02d}.png"
            save(out / _name(edit.example, last), answer, force=True)
        title = f"{edit.example.instruction} ({edit.seconds:.1f} s)"
        captions = ["before", *map(_caption, edit.answers)]
        rows.append(Row(title, captions, [edit.source, *(a.image for a in edit.answers)]))
    sheet = io.BytesIO()
    contact_sheet(rows).save(sheet, "JPEG", quality=QUALITY)
    write_output(out / SHEET, sheet.getvalue(), force=True)
    console.print(f"wrote {escape(click.format_filename(out / SHEET))}")


def _before(example: Example) -> str:
    return _name(example, f"before{example.image.suffix.lower()}")


def _name(example: Example, last: str) -> str:
    """The name of a file of this edit."""
    return f"{example.name}-{last}" if example.name else last


def _caption(answer: EditAnswer) -> str:
    return "after" if answer.final else "step {} of {}".format(*answer.step)
