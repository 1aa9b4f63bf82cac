"""A contact sheet of random held-out edits of photographs: source, answer and exact result."""

from __future__ import annotations

import io
import random
import unicodedata
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from training.operation import Operation
from training.photo.evaluation import Sample
from training.photo.judge import LEAST_DETAIL, PhotoJudgement
from training.vocabulary import NONE

COUNT = 40  # edits on the sheet
COLUMNS = 4  # edits in a row
TILE = 192  # pixels of a picture's longer side
GAP = 8
HEADING = 24
CAPTION = 34
LONGEST = 80  # characters of a sentence
QUALITIES = (85, 75, 65, 55, 45, 35)  # of the file, the best that fits is taken
LARGEST_FILE = 1_000_000  # bytes


def sample_numbers(edits: Sequence[int], count: int = COUNT) -> frozenset[int]:
    """Random ones of the numbers of `edits`, always the same; all where there are fewer."""
    rng = random.Random("sheet of held out photographs")
    return frozenset(rng.sample(edits, min(count, len(edits))))


def photo_sheet(samples: Sequence[Sample]) -> Image.Image:
    """Every sample with its sentence and whether it succeeded. There is at least one."""
    tiles = [_tile(sample) for sample in samples]
    width, height = tiles[0].size
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * width, HEADING + rows * height), "white")
    heading = f"{len(tiles)} held-out edits: source, answer, exact result"
    ImageDraw.Draw(sheet).text((0, 0), heading, "black", ImageFont.load_default(16))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet.paste(tile, (column * width, HEADING + row * height))
    return sheet


def to_jpeg(sheet: Image.Image, largest: int = LARGEST_FILE) -> bytes:
    """The JPEG file of the best quality that has at most `largest` bytes; of the last where none
    has."""
    data = b""
    for quality in QUALITIES:
        out = io.BytesIO()
        sheet.save(out, "JPEG", quality=quality, optimize=True, progressive=True)
        data = out.getvalue()
        if len(data) <= largest:
            break
    return data


def caption(sentence: str, operations: Sequence[Operation]) -> str:
    """A sentence in the letters that Pillow's own font has: without accents, or what it asks for
    where it has other letters."""
    plain = unicodedata.normalize("NFKD", sentence.replace("ß", "ss").replace("œ", "oe"))
    letters = "".join(sign for sign in plain if not unicodedata.combining(sign))
    latin = letters.replace("’", "'").encode("ascii", "ignore").decode()
    if len(latin) < len(letters) / 2:
        latin = f"({', '.join(map(_description, operations))})"
    return latin if len(latin) <= LONGEST else latin[: LONGEST - 3] + "..."


def _description(operation: Operation) -> str:
    """An operation in the words of its fields."""
    items = (operation.target, operation.result)
    names = [f"{item.colour} {item.kind}".removeprefix(f"{NONE} ") for item in items if item]
    fields = (
        operation.colour,
        operation.place,
        operation.amount,
        operation.where,
        operation.where_colour,
    )
    return " ".join([operation.op, *names, *(value for value in fields if value != NONE)])


def _tile(sample: Sample) -> Image.Image:
    example = sample.edit.example
    tile = Image.new("RGB", (3 * (TILE + GAP), TILE + CAPTION + GAP), "white")
    for number, pixels in enumerate((example.source, sample.pixels, example.target)):
        picture = Image.fromarray(pixels)
        picture.thumbnail((TILE, TILE))
        tile.paste(picture, (number * (TILE + GAP), CAPTION))
    draw = ImageDraw.Draw(tile)
    font = ImageFont.load_default(13)
    draw.text((0, 0), caption(example.sentence, example.operations), "black", font)
    colour = "darkgreen" if sample.judgement.success else "darkred"
    draw.text((0, 16), verdict(sample.judgement), colour, font)
    return tile


def verdict(judgement: PhotoJudgement) -> str:
    """Whether an edit succeeded, and by which figures."""
    parts = [f"difference {judgement.difference:.1f} of {judgement.unchanged:.1f}"]
    if judgement.outside:
        parts.append(f"{judgement.outside} pixels moved outside")
    if judgement.detail is not None and judgement.detail < LEAST_DETAIL:
        parts.append(f"detail {judgement.detail:.0%}")
    return f"{'yes' if judgement.success else 'NO'}: {', '.join(parts)}"
