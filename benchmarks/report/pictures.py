"""Requests of the report: edits of drawn scenes, every image once, in the file formats of
perf_analyzer and AIPerf."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.uncached_images import unseen
from retouch.api.fields import FIELDS
from retouch.api.request import EditRequest, request_to_values
from training.render import render
from training.scenes import held_out

SCENES = 64


class Pictures:
    """Edits of the held-out scenes in turn. Every image has a unique pixel, so that no cache
    helps."""

    def __init__(self, scenes: int = SCENES) -> None:
        self._pairs = held_out(scenes)
        self._drawn = [render(pair.source).pixels for pair in self._pairs]
        self.taken = 0

    def take(self, count: int, **options: Any) -> list[EditRequest]:
        """The next ones; seeds are their numbers, options EditRequest's fields."""
        numbers = range(self.taken, self.taken + count)
        self.taken += count
        which = len(self._pairs)
        return [
            EditRequest(
                unseen(self._drawn[number % which], number),
                self._pairs[number % which].instruction,
                seed=number,
                **options,
            )
            for number in numbers
        ]


def for_perf_analyzer(requests: Sequence[EditRequest], path: Path) -> Path:
    """Its JSON: every tensor with its shape, bytes as base64 behind their length in four bytes, as
    the wire has them."""
    path.write_text(
        json.dumps(
            {
                "data": [
                    {
                        tensor.name: {
                            "content": _content(request_to_values(request)[tensor.name]),
                            "shape": list(tensor.dims),
                        }
                        for tensor in FIELDS
                    }
                    for request in requests
                ]
            }
        )
    )
    return path


def for_aiperf(requests: Sequence[EditRequest], path: Path) -> Path:
    """Its `single_turn` lines, images as data URLs, which its image_edit endpoint uploads as
    files."""
    path.write_text(
        "".join(
            json.dumps(
                {
                    "text": request.instruction,
                    "image": "data:image/png;base64," + base64.b64encode(request.image).decode(),
                }
            )
            + "\n"
            for request in requests
        )
    )
    return path


def _content(value: Any) -> Any:
    if not isinstance(value, bytes):
        return [value]
    return {"b64": base64.b64encode(struct.pack("<I", len(value)) + value).decode()}
