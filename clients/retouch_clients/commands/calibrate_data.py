"""`retouch calibrate-data`: photos and instructions for calibrating FP8 and FP4 lanes."""

from __future__ import annotations

from pathlib import Path

import click

from retouch_clients.cli.console import console, error_console
from retouch_clients.cli.exit_codes import EPILOG
from retouch_clients.edit_options import FILE
from retouch_export.calibration_data import COUNT, SIDE, DataError, read_instructions, write_pairs
from retouch_export.hub import calibration_folder


@click.command(
    "calibrate-data", epilog=EPILOG, short_help="Make a checkpoint's calibration data from photos."
)
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    default=Path("."),
    help="The folder to write calibration/pairs.jsonl to, or ORG/NAME of the Hugging Face Hub.  "
    "[default: the current folder]",
)
@click.option(
    "--instructions",
    type=FILE,
    help="A file with one instruction per line.  [default: 24 common instructions]",
)
@click.option(
    "--count",
    type=click.IntRange(1, 4096),
    default=COUNT,
    show_default=True,
    help="Maximum number of pairs of a photo and an instruction.",
)
@click.option(
    "--side",
    type=click.IntRange(64, 4096),
    default=SIDE,
    show_default=True,
    help="Scale larger photos down to this many pixels on the longer side.",
)
@click.option("--force", is_flag=True, help="Replace existing calibration data.")
def calibrate_data(
    photos: Path, checkpoint: Path, instructions: Path | None, count: int, side: int, force: bool
) -> None:
    """Make calibration/pairs.jsonl from the photos in the folder PHOTOS.

    The export of the lanes fp8 and fp4 runs these edits and measures the activations. A photo is
    reused, with another instruction, only after all photos have been used."""
    try:
        texts = read_instructions(instructions)
        folder = calibration_folder(checkpoint)
        if not folder.is_dir():
            raise click.BadParameter(f"there is no folder {checkpoint}", param_hint="--checkpoint")
        written = write_pairs(photos, folder, texts, count, side, force)
    except DataError as failure:
        raise click.ClickException(str(failure)) from None
    for name, reason in written.skipped:
        error_console.print(f"skipped {name}: {reason}", markup=False, soft_wrap=True)
    console.print(
        f"wrote {written.pairs} pairs of {written.photos} photos to {written.index}",
        markup=False,
        soft_wrap=True,
    )
