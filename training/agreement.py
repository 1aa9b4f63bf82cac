"""How often the parsed operations agree with the edited image, over the held-out scenes.

    python -m training.agreement [--lane LANE] [--scenes N]

A scene is drawn once for each value of a field (target, colour, kind, size or place). The edited
image shows the value whose drawing is nearest to it."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from retouch.api.lanes import LANES
from retouch.api.request import EditRequest
from retouch.api.response import Operation
from retouch.imaging import images
from retouch.offline.plain_loop import PlainLoop
from training.render import COLOURS, KINDS, PLACES, SIZES, Scene, Shape, render
from training.scenes import HELD_OUT, Edit, Pair, held_out

FIELDS = {"size": SIZES, "colour": COLOURS, "kind": KINDS, "place": PLACES}
SHOWN = {
    "recolour": ("colour",),
    "replace": ("kind", "colour"),
    "move": ("place",),
    "resize": ("size",),
    "add": ("size", "colour", "kind", "place"),
    "background": ("colour",),
    "remove": (),
}


def agreement(lane: str, scenes: list[Pair], repository: Path) -> dict[str, Counter]:
    """Counts of "agrees" and "differs" by operation and field. "op" counts operations that were
    parsed correctly."""
    loop = PlainLoop(repository, lane)
    counts: dict[str, Counter] = {}
    for seed, pair in enumerate(scenes):
        source = render(pair.source).pixels
        picture = images.decode(
            loop.edit(EditRequest(images.encode(source), pair.instruction, seed=seed))
        )
        (parsed,) = loop.parser.run(source[None], [pair.instruction])
        for name, agrees in _compare(pair, parsed.operations, picture):
            counts.setdefault(name, Counter())["agrees" if agrees else "differs"] += 1
    return counts


def _compare(
    pair: Pair, operations: list[Operation], picture: np.ndarray
) -> Iterator[tuple[str, bool]]:
    for number, edit in enumerate(pair.edits):
        if number >= len(operations) or operations[number].op != edit.op:
            yield f"{edit.op} op", False
            continue
        yield f"{edit.op} op", True
        value = _split(operations[number].value)
        for field in SHOWN[edit.op]:
            if field in value:
                yield f"{edit.op} {field}", value[field] == _shown(pair, edit, field, picture)
        if edit.target and operations[number].target:
            yield (
                f"{edit.op} target",
                operations[number].target == _shown_target(pair, edit, picture),
            )


def _split(value: str) -> dict[str, str]:
    """The fields of a value such as "large blue star top left"."""
    fields = {}
    for field in ("size", "colour", "kind"):
        first, _, rest = value.partition(" ")
        if first in FIELDS[field]:
            fields[field] = first
            value = rest
    return fields | ({"place": value} if value else {})


def _shown(pair: Pair, edit: Edit, field: str, picture: np.ndarray) -> str:
    """The value of `field` whose drawing is nearest to the image."""
    if edit.op == "background":
        drawings = {word: replace(pair.target, background=word) for word in COLOURS}
    else:
        drawings = {
            word: _exchanged(pair.target, edit.result, _with(pair.target, edit.result, field, word))
            for word in FIELDS[field]
        }
    return min(drawings, key=lambda word: _distance(drawings[word], picture))


def _with(scene: Scene, shape: Shape, field: str, word: str) -> Shape:
    if field == "place":
        if scene.place(shape) == word:
            return shape
        x, y = scene.anchor(word)
        return replace(shape, x=x, y=y)
    return replace(shape, **{field: word})


def _exchanged(scene: Scene, old: Shape, new: Shape) -> Scene:
    return replace(scene, shapes=tuple(new if shape == old else shape for shape in scene.shapes))


def _shown_target(pair: Pair, edit: Edit, picture: np.ndarray) -> str:
    """The name of the changed shape: the one whose pixels differ most from the source image."""
    if len(pair.edits) > 1:
        return edit.target.name
    before = render(pair.source).pixels.astype(int)
    changed = np.abs(before - picture).sum(-1)
    owners = render(pair.source).owners
    shares = {
        shape.name: changed[owners == number].mean() if (owners == number).any() else 0
        for number, shape in enumerate(pair.source.shapes, start=1)
    }
    if edit.op == "resize":  # perhaps only a ring around the shape changes
        return edit.target.name if max(shares.values()) < 30 else max(shares, key=shares.get)
    return max(shares, key=shares.get)


def _distance(scene: Scene, picture: np.ndarray) -> float:
    return float(np.abs(render(scene).pixels.astype(int) - picture).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.agreement", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--lane", choices=LANES, default="bf16")
    parser.add_argument("--scenes", type=int, default=HELD_OUT)
    options = parser.parse_args()
    counts = agreement(options.lane, held_out(options.scenes), options.repository)
    for name, count in sorted(counts.items()):
        print(f"{name:20} {count['agrees']:4} of {count.total():4}")


if __name__ == "__main__":
    main()
