"""A contact sheet of the scenes in which narrow lanes differ most from bf16: the source and all
edits."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from retouch.imaging import images
from retouch_clients.demo.contact_sheet import Row, row_image
from training.figures import Outcome, worst_first
from training.likeness import Likeness
from training.render import render
from training.scenes import Pair

COUNT = 4


def worst_scenes(likenesses: Sequence[Sequence[Likeness]], count: int = COUNT) -> list[int]:
    """Scene numbers: the worst of each lane by LPIPS, then the worst of any lane."""
    orders = [worst_first(lane) for lane in likenesses]
    largest = worst_first(
        [max(lanes, key=lambda likeness: likeness.lpips) for lanes in zip(*likenesses)]
    )
    return list(dict.fromkeys([order[0] for order in orders] + largest))[:count]


def contact_sheet(scenes: Sequence[Pair], outcomes: dict[str, Outcome]) -> Image.Image:
    """One row for each scene: the source, then the lanes' edits with their LPIPS. At least one lane
    has likenesses."""
    numbers = worst_scenes(
        [outcome.likenesses for outcome in outcomes.values() if outcome.likenesses]
    )
    rows = [_row(number, scenes[number], outcomes) for number in numbers]
    paper = Image.new(
        "RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white"
    )
    top = 0
    for row in rows:
        paper.paste(row, (0, top))
        top += row.height
    return paper


def _row(number: int, pair: Pair, outcomes: dict[str, Outcome]) -> Image.Image:
    captions = ["source"]
    pictures = [render(pair.source).pixels]
    for lane, outcome in outcomes.items():
        distance = f" LPIPS {outcome.likenesses[number].lpips:.4f}" if outcome.likenesses else ""
        captions.append(lane + distance)
        pictures.append(outcome.answers[number].pixels)
    files = [images.encode(picture) for picture in pictures]
    return row_image(Row(f"scene {number}: {pair.instruction}", captions, files))
