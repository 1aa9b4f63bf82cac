"""The demo: one edit on a server of its own, and a contact sheet of what came."""

from __future__ import annotations

import io
from pathlib import Path

import click
from PIL import Image, ImageDraw, ImageFont
from rich.markup import escape

from clients.show import console, save, with_progress
from retouch.answer import EditAnswer
from retouch.client import Retouch
from retouch.logs import new_log
from retouch.server import ROOT, Server

SAMPLE = ROOT / "checkpoints" / "shapes" / "sample"
TILE, GAP, CAPTION = 256, 12, 28


def run(out: Path, image: Path | None, instruction: str | None) -> None:
    """Edit `image` (the checkpoint's sample without one) and write everything to the folder `out`."""
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
    write(out, source, sentence, answers)


def write(out: Path, source: bytes, sentence: str, answers: list[EditAnswer]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "before.png").write_bytes(source)
    for answer in answers:
        save(out / ("after.png" if answer.final else f"preview-{answer.step[0]:02d}.png"), answer)
    captions = ["before", *("after" if each.final else "step {} of {}".format(*each.step) for each in answers)]
    sheet(sentence, captions, [source, *(each.image for each in answers)]).save(out / "contact-sheet.png")
    console.print(f"wrote {escape(click.format_filename(out / 'contact-sheet.png'))}")


def sheet(title: str, captions: list[str], files: list[bytes]) -> Image.Image:
    """The pictures side by side, all of one height, each with its caption."""
    pictures = [Image.open(io.BytesIO(file)).convert("RGB") for file in files]
    pictures = [picture.resize((max(1, TILE * picture.width // picture.height), TILE)) for picture in pictures]
    width = sum(picture.width + GAP for picture in pictures) + GAP
    paper = Image.new("RGB", (width, TILE + 2 * CAPTION + 2 * GAP), "white")
    draw, font = ImageDraw.Draw(paper), ImageFont.load_default(16)
    draw.text((GAP, GAP // 2), title, "black", font)
    left = GAP
    for caption, picture in zip(captions, pictures):
        paper.paste(picture, (left, CAPTION + GAP))
        draw.text((left, CAPTION + GAP + TILE + 4), caption, "black", font)
        left += picture.width + GAP
    return paper
