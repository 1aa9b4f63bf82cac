"""The options of `python -m training.evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from retouch.api.lanes import LANES
from retouch.api.limits import MAX_STEPS
from training.photo.held_out import HELD_OUT as PHOTOS
from training.photo.held_out import HELD_OUT_LARGE
from training.scenes import HELD_OUT

LEAST = {"scenes": 1, "photos": 0, "large": 0, "sentences": 0}  # of what is counted


def parse(arguments: list[str] | None, description: str) -> argparse.Namespace:
    """The options of a command line, by default this process's. `sentences` is None for all."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=description)
    _add_lanes(parser)
    _add_counts(parser)
    _add_files(parser)
    options = parser.parse_args(arguments)
    for name, least in LEAST.items():
        count = getattr(options, name)
        if count is not None and count < least:
            parser.error(f"--{name} is {count}; it must be {least} or more")
    if not 0 <= options.steps <= MAX_STEPS:
        parser.error(f"--steps is {options.steps}; it must be 0 to {MAX_STEPS}")
    return options


def _add_lanes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument(
        "--precision",
        nargs="*",
        choices=LANES,
        help="lanes other than bf16 (default: all that are exported)",
    )
    parser.add_argument(
        "--parts",
        nargs="*",
        choices=LANES,
        help="also edit with parser and connector in these precisions (default without names: all "
        "that are exported)",
    )
    parser.add_argument("--steps", type=int, default=0, help="0 is the checkpoint's default")


def _add_counts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenes", type=int, default=HELD_OUT, help="held-out scenes of shapes")
    parser.add_argument(
        "--photos", type=int, default=PHOTOS, help="held-out edits of photographs, 0 for none"
    )
    parser.add_argument(
        "--large", type=int, default=HELD_OUT_LARGE, help="such edits at 12 MP, 0 for none"
    )
    parser.add_argument(
        "--sentences", type=int, help="sentences that people wrote, 0 for none (default: all)"
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", type=Path, help="write the table of the parts to this README")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument(
        "--worst",
        type=Path,
        help="write images of the scenes in which the lanes differ most to this file",
    )
    parser.add_argument(
        "--sheet", type=Path, help="write random edits of photographs to this JPEG file"
    )
    parser.add_argument(
        "--reliability", type=Path, help="write the plot of the confidence to this SVG file"
    )
