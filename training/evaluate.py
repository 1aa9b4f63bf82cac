"""Evaluate every lane on what it was never trained on: the exported graphs, without a server.

    python -m training.evaluate [--precision LANE …] [--parts [PRECISION …]] [--steps N]
    [--scenes N] [--photos N] [--large N] [--sentences N] [--json PATH] [--worst PATH]
    [--sheet PATH] [--reliability PATH] [--write README]

Shapes and photographs are edited, and sentences that people wrote are read. `make eval` first
installs requirements-eval.txt; the photographs are `make photos`'s."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from retouch.api.lanes import LANES
from retouch.artifacts.manifest import ArtifactError
from retouch.families.instructx.parser import Parser
from training.figures import figures
from training.lane import Lane, exported
from training.lpips import LpipsError
from training.options import parse
from training.parts import exported as parts_of
from training.parts import reading_figures
from training.parts_table import show_parts, write_table
from training.photo.evaluation import Sample, edit_photos, photo_figures
from training.photo.held_out import held_out as held_out_photos
from training.photo.held_out import held_out_large, load_held_out, shareable
from training.photo.sheet import photo_sheet, sample_numbers, to_jpeg
from training.photo.table import photo_tables
from training.progress import bar
from training.reliability_plot import reliability_plot
from training.scenes import held_out
from training.shape_edits import evaluate, with_parts, with_reference
from training.table import show
from training.understanding import (
    held_out_sentences,
    knows_unknown,
    read,
    understanding_figures,
)
from training.understanding_table import understanding_tables
from training.worst import contact_sheet

NO_PHOTOS = "0 for --photos, --large and --sentences evaluates shapes alone"
NO_UNKNOWN = "no sentences: the parser of this repository does not know the operation unknown"


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments, __doc__.split("\n")[0])
    try:
        _check_photos(options)
        lanes = options.precision or exported(options.repository)
        report = evaluate_shapes(options, lanes)
        report |= evaluate_photos(options, lanes)
        report |= evaluate_sentences(options)
    except (ArtifactError, LpipsError, FileNotFoundError, ValueError) as failure:
        sys.exit(f"error: {failure}")
    if options.json:
        _write(options.json, f"{json.dumps(report, indent=1)}\n".encode())


def evaluate_shapes(options: argparse.Namespace, lanes: Sequence[str]) -> dict[str, Any]:
    """Print and return the figures of the scenes, with those of the parts where they are asked
    for."""
    scenes = held_out(options.scenes)
    parts = _parts(options)
    edited = evaluate(options.repository, [*lanes, *with_parts(parts)], scenes, options.steps)
    outcomes = {name: outcome for name, outcome in edited.items() if "+" not in name}
    report = figures(scenes, outcomes)
    show(report)
    if parts:
        reading = reading_figures(options.repository, parts, scenes, bar)
        report |= {"parts": reading, "edits": figures(scenes, edited)["lanes"]}
        show_parts(report)
        if options.write:
            write_table(report, options.write)
    if options.worst and len(outcomes) > 1:
        options.worst.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(scenes, outcomes).save(options.worst)
        print(f"wrote {options.worst}")
    return report


def evaluate_photos(options: argparse.Namespace, lanes: Sequence[str]) -> dict[str, Any]:
    """Print and return the figures of the photographs by lane and kind of edit; those of 12 MP by
    themselves."""
    if not options.photos and not options.large:
        return {}
    opened = [Lane(options.repository, name) for name in with_reference(lanes)]
    report = {}
    if options.photos:
        edits = bar(held_out_photos(options.photos), "editing photographs", options.photos)
        shown = sample_numbers(shareable(options.photos)) if options.sheet else ()
        outcome = edit_photos(opened, edits, shown, options.steps)
        report["photos"] = photo_figures(outcome.answers)
        _print(*photo_tables(report["photos"], f"{options.photos} held-out edits of photographs"))
        _write_sheet(options.sheet, outcome.samples)
    if options.large:
        edits = bar(held_out_large(options.large), "editing 12 MP", options.large)
        report["photos_12mp"] = photo_figures(edit_photos(opened, edits, (), options.steps).answers)
        _print(*photo_tables(report["photos_12mp"], f"{options.large} held-out edits at 12 MP"))
    return report


def evaluate_sentences(options: argparse.Namespace) -> dict[str, Any]:
    """Print and return how well the sentences are understood."""
    if options.sentences == 0:
        return {}
    if not knows_unknown(options.repository):
        print(NO_UNKNOWN)
        return {}
    parser = Parser(options.repository / "vl_parser" / "1")
    sentences = held_out_sentences(options.sentences)
    report = understanding_figures(read(parser, bar(sentences, "reading sentences")))
    _print(*understanding_tables(report))
    if options.reliability:
        _write(options.reliability, reliability_plot(report["reliability"]).encode())
    return {"understanding": report}


def _check_photos(options: argparse.Namespace) -> None:
    """FileNotFoundError before any work where photographs are needed and missing."""
    if options.photos or options.large or options.sentences != 0:
        try:
            load_held_out()
        except FileNotFoundError as failure:
            raise FileNotFoundError(f"{failure}, or {NO_PHOTOS}") from None


def _parts(options: argparse.Namespace) -> list[str]:
    """The precisions of the parts, the widest first."""
    if options.parts is None:
        return []
    return [name for name in LANES if name in (options.parts or parts_of(options.repository))]


def _write_sheet(path: Path | None, samples: Sequence[Sample]) -> None:
    if path:
        _write(path, to_jpeg(photo_sheet(samples)))


def _print(*tables: object) -> None:
    Console(highlight=False).print(*tables, sep="\n")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
