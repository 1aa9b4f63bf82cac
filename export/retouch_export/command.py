"""`retouch export`: the command line of the export. This module does not import torch."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from retouch.api.lanes import LANES
from retouch.util import extras
from retouch_export import templates
from retouch_export.checkpoint import Checkpoint
from retouch_export.export_plan import Settings, holds_another
from retouch_export.export_planner import ExportRequest, plan_export
from retouch_export.hub import located
from retouch_export.hub_name import hub_name
from retouch_export.lane_defaults import LaneOptions
from retouch_export.lock import locked
from retouch_export.lora import AdapterFile


def _lora(
    path: Path | None, name: str | None, scale: float, only: str | None, weightless: bool
) -> AdapterFile | None:
    """The adapter of the command line; ValueError when its options contradict one another."""
    if path is None and (name is not None or scale != 1.0):
        raise ValueError("--lora-name and --lora-scale need an adapter; name its file with --lora")
    if path is None:
        return None
    if name is None:
        raise ValueError(
            "--lora needs a --lora-name: its lanes are named after it, such as bf16-NAME"
        )
    if weightless or only not in (None, "denoiser"):
        raise ValueError(
            "--lora changes the denoiser's weights; leave out --weightless, and --only other parts"
        )
    return AdapterFile(path, name, scale)


def _lanes(_: click.Context, __: click.Parameter, text: str | None) -> list[str]:
    if text is None:
        return []
    lanes = [lane.strip() for lane in text.split(",")]
    if not set(lanes) <= set(LANES):
        raise click.BadParameter(
            f"{text} is unknown; it must be of {', '.join(LANES)}, several with commas between"
        )
    return lanes


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def _numbers(_: click.Context, __: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise click.BadParameter(f"{text} must be numbers with commas between") from None


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--precision",
    default="bf16",
    show_default=True,
    callback=_lanes,
    help="Lanes of the denoiser, for example bf16,fp8,fp4. "
    "bf16 is always exported, because the others are made from it.",
)
@click.option(
    "--parts",
    metavar="PRECISIONS",
    callback=_lanes,
    help="Also export the parser, connector and autoencoder in these precisions, for a GPU; for "
    "example bf16,fp8,fp4. The autoencoder is bf16 in all.  [default: none]",
)
@click.option(
    "--repository",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("model_repository"),
    show_default=True,
)
@click.option("--only", metavar="PART", help="One part instead of all, for example denoiser.")
@click.option(
    "--calibration",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Ranges of activations, as an export writes them. FP4 is slightly worse with ranges "
    "alone.  [default: measured on the checkpoint's calibration pairs]",
)
@click.option(
    "--tensorrt",
    is_flag=True,
    help="Also build TensorRT plans of the lanes and of --parts, for the GPU of this machine.",
)
@click.option(
    "--strip",
    is_flag=True,
    help="Leave the weights out of the plans; they are loaded from the ONNX files.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Register a plan even if it is too large or not faster than the wider lane's.",
)
@click.option(
    "--lora",
    type=click.Path(exists=True, path_type=Path),
    help="An adapter, a file or a folder. Lanes with it are added; those without it stay.",
)
@click.option(
    "--lora-name",
    metavar="NAME",
    help="Name in the lanes of the adapter: bf16-NAME, fp8-NAME, fp4-NAME.",
)
@click.option(
    "--lora-scale", type=float, default=1.0, show_default=True, help="Strength of the adapter."
)
@click.option(
    "--steps",
    type=int,
    help="Steps of an edit in the lanes of this export that names no number; 0: the checkpoint's.",
)
@click.option(
    "--guidance", type=float, help="The same for the scale that the network takes as an input."
)
@click.option("--true-cfg", type=float, help="The same for classifier-free guidance; 1 is off.")
@click.option(
    "--sigmas",
    metavar="NUMBERS",
    callback=_numbers,
    help="Noise levels of the steps before the scheduler's shift, with commas between, such as "
    "1,0.75,0.5,0.25. They hold for as many steps.",
)
@click.option(
    "--scheduler",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A scheduler_config.json for the lanes of this export, in place of the checkpoint's.",
)
@click.option(
    "--keep",
    is_flag=True,
    help="Do nothing if the repository holds the export of another checkpoint.",
)
@click.option(
    "--weightless",
    is_flag=True,
    help="Export graphs and sizes from configs alone, of the denoiser and other parts that stream "
    "their weights. They cannot be served.",
)
@click.option(
    "--variant",
    metavar="NAME",
    help="Variant of the weights, such as fp16 for model.fp16.safetensors. "
    "Components without it use their plain weights.",
)
def export(
    checkpoint: Path,
    precision: list[str],
    parts: list[str],
    repository: Path,
    only: str | None,
    calibration: Path | None,
    tensorrt: bool,
    strip: bool,
    force: bool,
    lora: Path | None,
    lora_name: str | None,
    lora_scale: float,
    steps: int | None,
    guidance: float | None,
    true_cfg: float | None,
    sigmas: tuple[float, ...] | None,
    scheduler: Path | None,
    keep: bool,
    weightless: bool,
    variant: str | None,
) -> None:
    """Export CHECKPOINT to ONNX in a model repository.

    CHECKPOINT is a folder in diffusers layout, or a repository of the Hugging Face Hub: ORG/NAME or
    ORG/NAME@REVISION. Files that its cache lacks are downloaded.

    Up-to-date artifacts are kept. Run it again to resume a stopped export.
    """
    try:
        adapter = _lora(lora, lora_name, lora_scale, only, weightless)
        chosen = LaneOptions(steps, guidance, true_cfg, sigmas, scheduler).chosen()
        if chosen and (weightless or only not in (None, "denoiser")):
            raise ValueError(
                f"--{next(iter(chosen)).replace('_', '-')} is a default of the denoiser's lanes; "
                "leave out --weightless, and --only other parts"
            )
        settings = Settings(calibration, weightless, strip, force, variant, chosen)
        if hub_name(checkpoint):
            extras.check("export")  # before a long download
        place = located(checkpoint, variant, _say, weights=not weightless)
        Checkpoint(place.folder, variant)  # checks the folder before a repository is made
        extras.check("export")
        with locked(repository, _say):
            if keep and holds_another(repository, place.folder, variant):
                click.echo(
                    f"{repository} holds the export of another checkpoint than {checkpoint}, "
                    "which stays; `make export` replaces it"
                )
                return
            for sentence in templates.install(repository):
                click.echo(sentence, err=True)
            request = ExportRequest(
                place.folder,
                repository,
                precision,
                only,
                tensorrt and not weightless,
                adapter,
                parts,
                place.origin,
            )
            work = plan_export(request, settings)
            for sentence in (*work.reasons, *work.idle(settings)):
                click.echo(sentence, err=True)
            if not work:
                click.echo(f"{repository} is up to date with {checkpoint}")
                return
            from retouch_export.run import run  # loads torch

            run(work, settings)
    except (RuntimeError, OSError, ValueError) as failure:
        click.echo(f"error: {failure}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("interrupted; finished parts are kept", err=True)
        sys.exit(130)
