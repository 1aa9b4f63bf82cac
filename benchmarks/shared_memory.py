"""Saving by shared memory: the same edits with files in messages and in /dev/shm, in turns.

    python -m benchmarks.shared_memory [--count 40] [--json PATH]

The images are the sample, and noise of growing sides, whose files are large. Both ways must return
the same bytes. Large images are scaled to the checkpoint's sizes, so that most of their time is
decoding and encoding, which both ways share."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.interleave import alike, in_turns, medians
from benchmarks.table import FASTER, Row, save, show
from retouch.client import Retouch
from retouch.launcher.server import HOST, ROOT, RUNTIME, Server

SAMPLE = ROOT / "checkpoints" / "photo" / "shapes.png"
SENTENCE = "make the red circle blue"
LANE = "bf16"
SIDES = (512, 1024, 2048)  # 0.8, 3.1 and 12.6 MB
WARM_UP = 3  # turns
BOUND = "decoding, encoding and the stages, which both ways share, take nearly all of an edit"


def main() -> None:
    options = parse()
    images = {
        "the sample": SAMPLE.read_bytes(),
        **{f"noise of {side} px": noise(side) for side in SIDES},
    }
    rows = []
    with Server(log=RUNTIME / "benchmark.log") as server:
        url = f"{HOST}:{server.grpc}"
        with Retouch(url) as plain, Retouch(url, shared_memory=True) as shared:
            for name, image in images.items():
                ways = {
                    way: lambda seed, client=client, image=image: (
                        client.edit_one(
                            image, SENTENCE, seed=seed, precision=LANE, format="jpeg"
                        ).image
                    )
                    for way, client in (("messages", plain), ("shared", shared))
                }
                alike(ways)
                spent = in_turns(ways, options.count, WARM_UP)
                middle = medians(spent)
                rows.append(
                    Row(
                        f"{name}, {len(image) / 1e6:.2f} MB",
                        "in messages",
                        middle["shared"],
                        middle["messages"],
                        "ms",
                        FASTER,
                        1.0,
                        "same bytes",
                        BOUND,
                        {"runs": spent},
                    )
                )
    show(f"One edit with its files in shared memory, medians of {options.count}", rows)
    save(rows, options.json)


def noise(side: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)).save(
        file, "PNG", compress_level=1
    )
    return file.getvalue()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.shared_memory", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--count", type=int, default=40, help="edits of each way and image")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
