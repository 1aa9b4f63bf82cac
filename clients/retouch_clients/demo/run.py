"""The demo: one edit on a server of its own, and a contact sheet of what came."""

from __future__ import annotations

import io
from pathlib import Path

import click
from PIL import Image, ImageDraw, ImageFont
from rich.markup import escape

from retouch.api.response import EditAnswer
from retouch.client import Retouch
from retouch.launcher.log_files import new_log
from retouch.launcher.server import ROOT, Server
from retouch_clients.cli.console import console, save, with_progress
from retouch_clients.cli.output_files import check_output, write_output

SAMPLE = ROOT / "checkpoints" / "shapes" / "sample"
TILE = 256
GAP = 12
CAPTION = 28


def run(out: Path, image: Path | None, instruction: str | None, force: bool = False) -> None:
    """Edit `image` (the checkpoint's sample without one) and write everything to the folder `out`;
    OutputError."""
    if not image and not SAMPLE.with_suffix(".png").is_file():
        raise click.UsageError(
            "the sample is part of a checkout; give an image of your own by --image and --instruction"
        )
    before = out / f"before{(image or SAMPLE.with_suffix('.png')).suffix.lower()}"
    _check(out, before, force)
    source = (image or SAMPLE.with_suffix(".png")).read_bytes()
    sentence = instruction or SAMPLE.with_suffix(".txt").read_text().strip()
    console.print(f"“{escape(sentence)}”")
    console.print("starting the server")
    answers = []
    with Server(log=new_log("demo")) as server:
        client = Retouch(f"127.0.0.1:{server.grpc}")
        for answer in with_progress(client.edit(source, sentence, seed=0, previews=4)):
            answers.append(answer)
        console.print("stopping the server")
    write(before, source, sentence, answers)


def _check(out: Path, before: Path, force: bool) -> None:
    """All that is going to be written can be; else OutputError, before a server is started."""
    for path in (
        before,
        out / "after.png",
        out / "contact-sheet.png",
        *sorted(out.glob("preview-*.png")),
    ):
        check_output(path, force)


def write(before: Path, source: bytes, sentence: str, answers: list[EditAnswer]) -> None:
    """The picture as `before` and what came of it beside, in place of an earlier demo's;
    OutputError."""
    out = before.parent
    write_output(before, source, force=True)
    for answer in answers:
        save(
            out / ("after.png" if answer.final else f"preview-{answer.step[0]:02d}.png"),
            answer,
            force=True,
        )
    captions = [
        "before",
        *("after" if each.final else "step {} of {}".format(*each.step) for each in answers),
    ]
    contact_sheet = io.BytesIO()
    sheet(sentence, captions, [source, *(each.image for each in answers)]).save(
        contact_sheet, "PNG"
    )
    write_output(out / "contact-sheet.png", contact_sheet.getvalue(), force=True)
    console.print(f"wrote {escape(click.format_filename(out / 'contact-sheet.png'))}")


def sheet(title: str, captions: list[str], files: list[bytes]) -> Image.Image:
    """The pictures side by side, all of one height, each with its caption."""
    pictures = [Image.open(io.BytesIO(file)).convert("RGB") for file in files]
    pictures = [
        picture.resize((max(1, TILE * picture.width // picture.height), TILE))
        for picture in pictures
    ]
    width = sum(picture.width + GAP for picture in pictures) + GAP
    paper = Image.new("RGB", (width, TILE + 2 * CAPTION + 2 * GAP), "white")
    draw = ImageDraw.Draw(paper)
    font = ImageFont.load_default(16)
    draw.text((GAP, GAP // 2), title, "black", font)
    left = GAP
    for caption, picture in zip(captions, pictures):
        paper.paste(picture, (left, CAPTION + GAP))
        draw.text((left, CAPTION + GAP + TILE + 4), caption, "black", font)
        left += picture.width + GAP
    return paper
