"""The stages around the steps, on a real server: first and second edit of an image, from INFO."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.held_out_edits import Prepared
from benchmarks.interleave import medians
from benchmarks.table import AT_MOST, Row
from benchmarks.uncached_images import unseen
from retouch.client import Retouch
from retouch.launcher.server import HOST, RUNTIME, Server

STEPS_STAGE = "denoiser"
WARM_UP = 2  # images


def memory_rows(scenes: Sequence[Prepared], count: int) -> list[Row]:
    """Edits of `count` images in turn: the first of an image, one with another sentence, and the
    first again with another seed."""
    with (
        Server(log=RUNTIME / "benchmark.log") as server,
        Retouch(f"{HOST}:{server.grpc}") as client,
    ):
        spent = _spent(client, scenes, count)
    middle = medians(spent)
    bound = (
        "what is left is decoding, the sentence, the connector, the decoder and encoding, and "
        "the calls between models"
    )
    rows = (("seed", "another seed"), ("sentence", "another sentence"))
    return [
        Row(
            f"second edit of an image, {title}: all but the steps",
            "first edit",
            middle[name],
            middle["first"],
            "ms",
            AT_MOST,
            0.35,
            f"{count} images",
            bound,
            {"runs": spent},
        )
        for name, title in rows
    ]


def _spent(client: Retouch, scenes: Sequence[Prepared], count: int) -> dict[str, list[float]]:
    spent: dict[str, list[float]] = {"first": [], "sentence": [], "seed": []}
    for number in range(WARM_UP + count):
        scene, other = (scenes[index % len(scenes)] for index in (number, number + 1))
        encoded = unseen(scene.source.pixels, number)
        sentence = scene.pair.instruction
        edits = {
            "first": (sentence, 1),
            "sentence": (other.pair.instruction, 1),
            "seed": (sentence, 2),
        }
        for name, edit in edits.items():
            milliseconds = besides(client, encoded, *edit)
            if number >= WARM_UP:
                spent[name].append(milliseconds)
    return spent


def besides(client: Retouch, encoded: bytes, sentence: str, seed: int) -> float:
    """Milliseconds of an edit without its steps."""
    *_, answer = client.edit(encoded, sentence, seed=seed, precision="bf16")
    return answer.info.milliseconds["total"] - answer.info.milliseconds[STEPS_STAGE]
