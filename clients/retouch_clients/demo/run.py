"""Edit one image on a server of its own and write the result, the previews and a contact sheet."""

from __future__ import annotations

import io
from pathlib import Path

import click
from rich.markup import escape

from retouch.api.response import EditAnswer
from retouch.client import Retouch
from retouch.launcher.log_files import new_log
from retouch.launcher.server import ROOT, Server
from retouch_clients.cli.console import console
from retouch_clients.cli.edit_report import save, with_progress
from retouch_clients.cli.output_files import check_output, write_output
from retouch_clients.demo.contact_sheet import side_by_side

SAMPLE = ROOT / "checkpoints" / "shapes" / "sample.png"
SHEET = "contact-sheet.png"


def run(out: Path, image: Path | None, instruction: str | None, force: bool = False) -> None:
    """Edit `image`, by default the checkpoint's sample, and write everything to the folder `out`.

    OutputError before a server is started, if a file cannot be written."""
    if not (image and instruction) and not SAMPLE.is_file():
        raise click.UsageError(
            "the sample image is part of a checkout; pass --image and --instruction"
        )
    image = image or SAMPLE
    before = out / f"before{image.suffix.lower()}"
    _check(out, before, force)
    source = image.read_bytes()
    instruction = instruction or SAMPLE.with_suffix(".txt").read_text().strip()
    console.print(f"“{escape(instruction)}”")
    console.print("starting the server")
    answers = []
    with Server(log=new_log("demo")) as server:
        client = Retouch(f"127.0.0.1:{server.grpc}")
        for answer in with_progress(client.edit(source, instruction, seed=0, previews=4)):
            answers.append(answer)
        console.print("stopping the server")
    write(before, source, instruction, answers)


def _check(out: Path, before: Path, force: bool) -> None:
    """OutputError if one of the files cannot be written."""
    previews = sorted(out.glob("preview-*.png"))
    for path in (before, out / "after.png", out / SHEET, *previews):
        check_output(path, force)


def write(before: Path, source: bytes, instruction: str, answers: list[EditAnswer]) -> None:
    """Write the source image to `before`, and the answers and the contact sheet beside it.

    Files of an earlier demo are replaced. OutputError."""
    out = before.parent
    write_output(before, source, force=True)
    for answer in answers:
        name = "after.png" if answer.final else f"preview-{answer.step[0]:02d}.png"
        save(out / name, answer, force=True)
    captions = ["before", *map(_caption, answers)]
    sheet = io.BytesIO()
    images = [source, *(answer.image for answer in answers)]
    side_by_side(instruction, captions, images).save(sheet, "PNG")
    write_output(out / SHEET, sheet.getvalue(), force=True)
    console.print(f"wrote {escape(click.format_filename(out / SHEET))}")


def _caption(answer: EditAnswer) -> str:
    return "after" if answer.final else "step {} of {}".format(*answer.step)
