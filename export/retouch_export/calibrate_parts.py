"""Calibration of the parser and the connector: ranges of the activations that enter their narrow
layers, over the checkpoint's calibration pairs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from retouch.backends.base import BackendFactory
from retouch.backends.onnx import OnnxBackend
from retouch.families.base import Family
from retouch.families.connector import Connector
from retouch.families.instructx.parser import Parser
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

    parser_backend = backend(PARSER)
    run = (
        _parsing(folder(PARSER), parser_backend, folder(CONNECTOR), backend(CONNECTOR), family)
        if family.has_parser
        else _encoding(folder(PARSER), parser_backend, family)
    )
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


def _parsing(
    parser_folder: Path,
    parser_backend: BackendFactory,
    connector_folder: Path,
    connector_backend: BackendFactory,
    family: Family,
) -> Callable[[CalibrationPair], object]:
    """A function that reads a pair with parser and connector."""
    parser = Parser(parser_folder, backend=parser_backend)
    connector = Connector(connector_folder, connector_backend)

    def run(pair: CalibrationPair) -> object:
        photo = images.decode(pair.image)
        pixels = images.fit(photo, family.size(*photo.shape[:2]))
        (parsed,) = parser.run(pixels[None], [pair.instruction])
        return connector.run(parsed.queries[None])

    return run


def _encoding(
    folder: Path, backend: BackendFactory, family: Family
) -> Callable[[CalibrationPair], object]:
    """A function that encodes a pair's instruction and the family's negative one."""
    encoder = text_encoder_of(folder, backend)
    has_negative = bool(family.negative) and family.true_cfg > 1

    def run(pair: CalibrationPair) -> object:
        photos = [images.decode(pair.image)]
        return [
            encoder.encode_text(instruction, photos)
            for instruction in (pair.instruction, *[family.negative] * has_negative)
        ]

    return run
