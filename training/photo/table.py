"""Terminal tables and a contact sheet of the evaluation of photographs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from rich.table import Table

from training.photo.evaluation import PhotoAnswer
from training.photo.held_out import PhotoEdit
from training.photo.judge import LARGEST, LEAST_DETAIL
from training.table import NONE, figures_table

TILE = 192  # pixels of a picture's longer side on the sheet
GAP = 8
CAPTION = 34
COLUMNS = 4  # edits in a row


def photo_table(figures: dict[str, dict[str, Any]], title: str) -> Table:
    """Success by kind of edit and lane, and the first lane's other figures."""
    out = figures_table(
        title,
        (
            f"success: the mean colour difference (CIEDE2000) inside the change is at most "
            f"{LARGEST:g}, no pixel outside the region has moved, and the answer keeps "
            f"{LEAST_DETAIL:.0%} of the gradient energy where the edit keeps the content; before: "
            "the source's own difference"
        ),
        "edit",
        "edits",
        *figures,
        "difference",
        "before",
        "detail",
        "moved\noutside",
        "s",
    )
    for kind, row in next(iter(figures.values())).items():
        out.add_row(
            kind,
            str(row["edits"]),
            *(f"{lane[kind]['success']:.1%}" for lane in figures.values()),
            f"{row['difference']:.1f}",
            f"{row['before']:.1f}",
            NONE if row["detail"] is None else f"{row['detail']:.0%}",
            str(row["moved_outside"]),
            NONE if row["seconds"] is None else f"{row['seconds']:.2f}",
        )
    return out


def photo_sheet(edits: Sequence[PhotoEdit], answers: Sequence[PhotoAnswer]) -> Image.Image:
    """Source, answer and exact result of every edit, with its sentence and whether it succeeded."""
    tiles = [_tile(edit, answer) for edit, answer in zip(edits, answers)]
    width = max(tile.width for tile in tiles)
    height = max(tile.height for tile in tiles)
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width, rows * height), "white")
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        sheet.paste(tile, (column * width, row * height))
    return sheet


def _tile(edit: PhotoEdit, answer: PhotoAnswer) -> Image.Image:
    pictures = [
        Image.fromarray(pixels)
        for pixels in (edit.example.source, answer.pixels, edit.example.target)
    ]
    tile = Image.new("RGB", (3 * (TILE + GAP), TILE + CAPTION + GAP), "white")
    for number, picture in enumerate(pictures):
        picture.thumbnail((TILE, TILE))
        tile.paste(picture, (number * (TILE + GAP), CAPTION))
    verdict = answer.judgement
    mark = "yes" if verdict.success else "NO"
    draw = ImageDraw.Draw(tile)
    font = ImageFont.load_default(13)
    draw.text((0, 0), edit.example.sentence[:80], "black", font)
    draw.text((0, 16), f"{mark}: difference {verdict.difference:.1f}", "black", font)
    return tile
