"""What river's drift detectors say, value by value.

river needs numpy 2, so this file is also a script that runs in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-river" / "bin" / "python"


def river_answers(
    detector: str, streams: list[list[float]], settings: list[dict[str, Any]]
) -> list[list[list[list]]]:
    """By settings and stream a list for every value: for `adwin` whether a change was detected, and
    width, total and spread of the window; for `page_hinkley` whether one was detected.

    Skips the test where river is not installed."""
    import pytest  # not at the top: it is missing in river's environment

    if not (PYTHON.parents[1] / ".setup").exists():
        pytest.skip("river is not installed; run `make river`")
    question = json.dumps({"detector": detector, "streams": streams, "settings": settings})
    command = [PYTHON, "-I", __file__]
    done = subprocess.run(command, input=question, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    question = json.load(sys.stdin)
    answer = {"adwin": adwin, "page_hinkley": page_hinkley}[question["detector"]]
    answers = [
        [answer(stream, options) for stream in question["streams"]]
        for options in question["settings"]
    ]
    json.dump(answers, sys.stdout)


def adwin(stream: list[float], options: dict[str, Any]) -> list[list]:
    """Of the window itself: the class around it would start anew after a detection."""
    from river.drift.adwin import AdaptiveWindowing

    window = AdaptiveWindowing(**options)
    return [
        [window.update(value), window.get_width(), window.get_total(), window.get_variance()]
        for value in stream
    ]


def page_hinkley(stream: list[float], options: dict[str, Any]) -> list[list]:
    from river.drift import PageHinkley

    detector = PageHinkley(**options)
    rows = []
    for value in stream:
        detector.update(value)
        rows.append([detector.drift_detected])
    return rows


if __name__ == "__main__":
    main()
