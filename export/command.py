"""`retouch export checkpoints/shapes`: fill a model repository with what a checkpoint becomes. Imports no torch by itself."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import click

from export.checkpoint import Checkpoint
from export.faults import check
from export.parts import FAMILIES, Part, checkpoint_digest, current
from retouch.manifest import read

LANES = ("bf16", "fp8", "fp4")


@dataclass
class Work:
    """What is missing: parts other than the denoiser, lanes of the denoiser, and TensorRT plans of lanes."""

    checkpoint: Checkpoint
    sha256: str
    repository: Path
    parts: list[Part]
    denoiser: Part | None
    lanes: list[str]
    plans: list[str]

    @classmethod
    def of(cls, folder: Path, asked: list[str], repository: Path, only: str | None, again: bool, tensorrt: bool,
           weights: bool = True) -> Work:
        """CheckpointError when the folder cannot be exported, ValueError when `only` names no part; `again` counts what is
        there already as missing, without `weights` none are looked at."""
        checkpoint = Checkpoint(folder)
        if checkpoint.family not in FAMILIES:
            raise ValueError(f"the export of {checkpoint.family} is not built yet; there are {', '.join(FAMILIES)}")
        parts = {part.name: part for part in FAMILIES[checkpoint.family]}
        if only not in (None, *parts):
            raise ValueError(f"--only {only} is no part of this checkpoint; it must be {', '.join(parts)}")
        check(checkpoint, weights, whole=only is None)
        sha256 = checkpoint_digest(folder)
        denoiser = parts.pop("denoiser") if only in (None, "denoiser") else None

        def missing(part: Part, lane: str) -> bool:
            return again or not current(part.folder(repository, lane), sha256, lane)

        lanes = [lane for lane in LANES if denoiser and lane in {"bf16", *asked} and missing(denoiser, lane)]
        planned = [lane for lane in LANES if denoiser and tensorrt and lane in asked]
        return cls(checkpoint, sha256, repository,
                   [part for part in parts.values() if only in (None, part.name) and missing(part, "bf16")], denoiser,
                   lanes, [lane for lane in planned if lane in lanes or not read(denoiser.folder(repository, lane)).plans])

    def __bool__(self) -> bool:
        return bool(self.parts or self.lanes or self.plans)


def _lanes(_: click.Context, __: click.Parameter, text: str) -> list[str]:
    lanes = [lane.strip() for lane in text.split(",")]
    if not set(lanes) <= set(LANES):
        raise click.BadParameter(f"{text} is unknown; it must be of {', '.join(LANES)}, several with commas between")
    return lanes


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--precision", default="bf16", show_default=True, callback=_lanes,
              help="Lanes of the denoiser, for example bf16,fp8,fp4. bf16 is always made: the others come from it.")
@click.option("--repository", type=click.Path(file_okay=False, path_type=Path), default=Path("model_repository"),
              show_default=True)
@click.option("--only", metavar="PART", help="One part instead of all, for example denoiser.")
@click.option("--calibration", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Ranges of activations, as an export writes them; FP4 is a little worse with ranges alone.  "
                   "[default: measured on the checkpoint's own pairs]")
@click.option("--tensorrt", is_flag=True, help="Build TensorRT plans of the asked lanes too, for the GPU of this machine.")
@click.option("--strip", is_flag=True, help="Leave the weights out of the plans; the ONNX files give them at load.")
@click.option("--force", is_flag=True, help="Register a plan that is not faster than the wider lane's, or too large.")
@click.option("--weightless", is_flag=True, help="The denoiser's graphs and sizes, by its config alone; nothing to serve.")
def export(checkpoint: Path, precision: list[str], repository: Path, only: str | None, calibration: Path | None,
           tensorrt: bool, strip: bool, force: bool, weightless: bool) -> None:
    """Turn CHECKPOINT, a folder in diffusers layout, into ONNX in a model repository.

    What is there and still right is kept: an export that was stopped goes on where it was.
    """
    try:
        only = "denoiser" if weightless else only
        work = Work.of(checkpoint, precision, repository, only, weightless, tensorrt and not weightless,
                       not weightless)
        if not work:
            click.echo(f"{repository} is up to date with {checkpoint}")
            return
        from export.run import Settings, run  # loads torch

        run(work, Settings(calibration, weightless, strip, force))
    except (RuntimeError, OSError, ValueError) as failure:
        click.echo(f"error: {failure}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("interrupted; the parts that were exported stay", err=True)
        sys.exit(130)
