"""Calibration of the parser and the connector: ranges of the activations that enter their narrow
layers, over the checkpoint's calibration pairs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from retouch.backends.base import BackendFactory
from retouch.backends.onnx import OnnxBackend
from retouch.families.base import Family
from retouch.families.connector import Connector
from retouch.families.instructx.parser import Parsed, Parser
from retouch.families.registry import family_of
from retouch.families.text_encoder import text_encoder_of
from retouch.imaging import images
from retouch_export.calibrate import CalibrationPair, CalibrationRunner
from retouch_export.checkpoint import Checkpoint
from retouch_export.parts import DENOISER, WIDE, Stage, TypedStage
from retouch_export.ranges import Ranges, read

PARSER = "vl_parser"
CONNECTOR = "connector"

Recorded = dict[str, CalibrationRunner]  # by graph


def known(
    repository: Path, stages: Iterable[TypedStage], calibration: Path | None
) -> dict[str, Ranges]:
    """Ranges that need no measurement, by stage: those of the file `calibration` where it has all
    of a stage's graphs, and none for a stage without graphs; ValueError."""
    content = read(calibration) if calibration else {}
    graphs = {
        stage.name: [path.stem for path in stage.folder(repository, WIDE).glob("*.onnx")]
        for stage in stages
    }
    return {
        name: {graph: content[graph] for graph in names}
        for name, names in graphs.items()
        if content.keys() >= set(names)
    }


def calibrate(
    repository: Path,
    checkpoint: Checkpoint,
    pairs: Iterable[CalibrationPair],
    stages: Collection[str],
) -> dict[str, Ranges]:
    """Ranges of `stages` over `pairs`, with their typed graphs in bf16, by stage. The connector
    needs the parser's graphs; ArtifactError."""
    settings = Stage(DENOISER, checkpoint.family).part().settings(checkpoint)
    family = family_of(checkpoint.family, settings)
    recorded: dict[str, Recorded] = {stage: {} for stage in stages}

    def folder(stage: str) -> Path:
        kind = TypedStage if stage in stages else Stage
        return kind(stage, checkpoint.family).folder(repository, WIDE)

    def backend(stage: str) -> BackendFactory:
        return _recording(recorded[stage]) if stage in stages else OnnxBackend

    def parsing() -> Callable[[CalibrationPair], object]:
        parser = Parser(folder(PARSER), backend=backend(PARSER))
        if CONNECTOR not in stages:
            return lambda pair: _parse(parser, family, pair)
        connector = Connector(folder(CONNECTOR), backend(CONNECTOR))
        return lambda pair: connector.run(_parse(parser, family, pair).queries[None])

    run = parsing() if family.has_parser else _encoding(folder(PARSER), backend(PARSER), family)
    for pair in pairs:
        run(pair)
    return {
        stage: {graph: runner.ranges() for graph, runner in runners.items()}
        for stage, runners in recorded.items()
    }


def _recording(runners: Recorded) -> BackendFactory:
    """A backend whose graphs are added to `runners`."""

    def runner(folder: Path, graph: str, keep: tuple[str, ...] = ()) -> CalibrationRunner:
        runners[graph] = CalibrationRunner(folder, graph)
        return runners[graph]

    return runner


def _parse(parser: Parser, family: Family, pair: CalibrationPair) -> Parsed:
    photo = images.decode(pair.image)
    pixels = images.fit(photo, family.size(*photo.shape[:2]))
    return parser.run(pixels[None], [pair.instruction])[0]


def _encoding(
    folder: Path, backend: BackendFactory, family: Family
) -> Callable[[CalibrationPair], object]:
    """A function that encodes a pair's instruction and the family's negative one."""
    encoder = text_encoder_of(folder, backend)
    negatives = [family.negative] if family.negative is not None and family.true_cfg > 1 else []

    def run(pair: CalibrationPair) -> object:
        photos = [images.decode(pair.image)]
        return [
            encoder.encode_text(instruction, photos)
            for instruction in (pair.instruction, *negatives)
        ]

    return run
