"""`retouch export checkpoints/shapes`: fill a model repository with what a checkpoint becomes.
Imports no torch by itself."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from retouch.api.lanes import LANES
from retouch.util import extras
from retouch_export import templates
from retouch_export.checkpoint import Checkpoint
from retouch_export.export_plan import Settings, Work, holds_another
from retouch_export.lock import locked
from retouch_export.lora import AdapterFile


def _lora(
    path: Path | None, name: str | None, scale: float, only: str | None, weightless: bool
) -> AdapterFile | None:
    """ValueError when the options on an adapter do not fit each other."""
    if path is None and (name is not None or scale != 1.0):
        raise ValueError(
            "--lora-name and --lora-scale are of an adapter; name its file with --lora"
        )
    if path is None:
        return None
    if name is None:
        raise ValueError("--lora wants a --lora-name: its lanes are called by it, as bf16-NAME")
    if weightless or only not in (None, "denoiser"):
        raise ValueError(
            "--lora changes the denoiser's weights; leave out --weightless, and --only other parts"
        )
    return AdapterFile(path, name, scale)


def _lanes(_: click.Context, __: click.Parameter, text: str) -> list[str]:
    lanes = [lane.strip() for lane in text.split(",")]
    if not set(lanes) <= set(LANES):
        raise click.BadParameter(
            f"{text} is unknown; it must be of {', '.join(LANES)}, several with commas between"
        )
    return lanes


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--precision",
    default="bf16",
    show_default=True,
    callback=_lanes,
    help="Lanes of the denoiser, for example bf16,fp8,fp4. bf16 is always made: the others come from it.",
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
    help="Ranges of activations, as an export writes them; FP4 is a little worse with ranges alone.  "
    "[default: measured on the checkpoint's own pairs]",
)
@click.option(
    "--tensorrt",
    is_flag=True,
    help="Build TensorRT plans of the asked lanes too, for the GPU of this machine.",
)
@click.option(
    "--strip",
    is_flag=True,
    help="Leave the weights out of the plans; the ONNX files give them at load.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Register a plan that is not faster than the wider lane's, or too large.",
)
@click.option(
    "--lora",
    type=click.Path(exists=True, path_type=Path),
    help="An adapter, a file or a folder: the lanes are made with it merged, beside those without.",
)
@click.option(
    "--lora-name", metavar="NAME", help="The lanes are called by it: bf16-NAME, fp8-NAME, fp4-NAME."
)
@click.option(
    "--lora-scale", type=float, default=1.0, show_default=True, help="How strong the adapter is."
)
@click.option(
    "--keep",
    is_flag=True,
    help="Leave the export of another checkpoint in the repository as it is.",
)
@click.option(
    "--weightless",
    is_flag=True,
    help="Graphs and sizes of what streams its weights, the denoiser above all, by configs alone; nothing to serve.",
)
@click.option(
    "--variant",
    metavar="NAME",
    help="Read the weights of this variant, as fp16 of model.fp16.safetensors, where a component has them.",
)
def export(
    checkpoint: Path,
    precision: list[str],
    repository: Path,
    only: str | None,
    calibration: Path | None,
    tensorrt: bool,
    strip: bool,
    force: bool,
    lora: Path | None,
    lora_name: str | None,
    lora_scale: float,
    keep: bool,
    weightless: bool,
    variant: str | None,
) -> None:
    """Turn CHECKPOINT, a folder in diffusers layout, into ONNX in a model repository.

    What is there and still right is kept: an export that was stopped goes on where it was.
    """
    try:
        adapter = _lora(lora, lora_name, lora_scale, only, weightless)
        settings = Settings(calibration, weightless, strip, force, variant)
        Checkpoint(checkpoint, variant)  # refuses what is none before a repository is made for it
        extras.check("export")
        with locked(repository, lambda sentence: click.echo(sentence, err=True)):
            if keep and holds_another(repository, checkpoint, variant):
                click.echo(
                    f"{repository} holds the export of another checkpoint than {checkpoint}, which stays; "
                    "`make export` replaces it"
                )
                return
            for sentence in templates.install(repository):
                click.echo(sentence, err=True)
            work = Work.of(
                checkpoint,
                precision,
                repository,
                only,
                tensorrt and not weightless,
                settings,
                adapter,
            )
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
        click.echo("interrupted; the parts that were exported stay", err=True)
        sys.exit(130)
