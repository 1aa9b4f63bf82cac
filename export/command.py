"""`retouch export checkpoints/shapes`: fill a model repository with what a checkpoint becomes. Imports no torch by itself."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import click

from export.checkpoint import Checkpoint
from export.parts import FAMILIES, Part, checkpoint_digest, current

LANES = ("bf16", "fp8", "fp4")


@dataclass
class Plan:
    """What is missing: parts other than the denoiser, and lanes of the denoiser."""

    checkpoint: Checkpoint
    sha256: str
    repository: Path
    parts: list[Part]
    denoiser: Part | None
    lanes: list[str]

    @classmethod
    def of(cls, folder: Path, lanes: list[str], repository: Path, only: str | None, again: bool) -> Plan:
        """ValueError when `only` names no part; `again` counts what is there already as missing."""
        checkpoint, sha256 = Checkpoint(folder), checkpoint_digest(folder)
        parts = {part.name: part for part in FAMILIES[checkpoint.family]}
        if only not in (None, *parts):
            raise ValueError(f"--only {only} is no part of this checkpoint; it must be {', '.join(parts)}")
        denoiser = parts.pop("denoiser") if only in (None, "denoiser") else None

        def missing(part: Part, lane: str) -> bool:
            return again or not current(part.folder(repository, lane), sha256, lane)

        return cls(checkpoint, sha256, repository,
                   [part for part in parts.values() if only in (None, part.name) and missing(part, "bf16")], denoiser,
                   [lane for lane in LANES if denoiser and lane in {"bf16", *lanes} and missing(denoiser, lane)])


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
              help="Ranges of activations, as an export writes them.  [default: measured on the checkpoint's own pairs]")
@click.option("--weightless", is_flag=True, help="The denoiser's graphs and sizes, by its config alone; nothing to serve.")
def export(checkpoint: Path, precision: list[str], repository: Path, only: str | None, calibration: Path | None,
           weightless: bool) -> None:
    """Turn CHECKPOINT, a folder in diffusers layout, into ONNX in a model repository.

    What is there and still right is kept: an export that was stopped goes on where it was.
    """
    try:
        plan = Plan.of(checkpoint, precision, repository, "denoiser" if weightless else only, again=weightless)
        if not plan.parts and not plan.lanes:
            click.echo(f"{repository} is up to date with {checkpoint}")
            return
        from export.run import run  # loads torch

        run(plan, calibration, weightless)
    except (RuntimeError, OSError, ValueError) as failure:
        click.echo(f"error: {failure}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("interrupted; the parts that were exported stay", err=True)
        sys.exit(130)
