"""Lanes and answers of the evaluation of photographs, where no graph is run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from retouch.api.request import EditRequest
from retouch.imaging import images
from training.photo.evaluation import PhotoAnswer
from training.photo.judge import PhotoJudgement

GOOD = PhotoJudgement(difference=1.0, unchanged=10.0, outside=0, detail=1.0)
NEAR = PhotoJudgement(difference=1.0, unchanged=4.0, outside=0, detail=1.0)
BAD = PhotoJudgement(difference=7.0, unchanged=10.0, outside=3, detail=None)


class FakeLane:
    """Answers a request with the picture that `paint` makes of it, and notes the request."""

    def __init__(self, name: str, paint: Callable[[EditRequest], np.ndarray]):
        self.name = name
        self.requests: list[EditRequest] = []
        self._paint = paint

    def run(self, request: EditRequest) -> bytes:
        self.requests.append(request)
        return images.encode(self._paint(request))

    def region(self, height: int, width: int) -> np.ndarray:
        return np.ones((height, width), bool)


def untouched(request: EditRequest) -> np.ndarray:
    return images.decode(request.image)


def answers(kinds: str, verdicts: list[PhotoJudgement]) -> list[PhotoAnswer]:
    """One answer a second long, of two seconds for the next, and so on."""
    return [
        PhotoAnswer(kind, verdict, float(second))
        for second, (kind, verdict) in enumerate(zip(kinds.split(), verdicts), start=1)
    ]
