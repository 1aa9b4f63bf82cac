"""`retouch calibrate-data`: photos and sentences that FP8 and FP4 lanes are calibrated with."""

from __future__ import annotations

from pathlib import Path

import click

from retouch_clients.cli.console import aside, console
from retouch_clients.cli.exit_codes import EPILOG
from retouch_clients.edit_options import FILE
from retouch_export.calibration_data import COUNT, SIDE, DataError, read_instructions, write_pairs


@click.command(
    "calibrate-data", epilog=EPILOG, short_help="Make a checkpoint's calibration data from photos."
)
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--checkpoint",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("."),
    help="The folder that gets calibration/pairs.jsonl.  [default: the current one]",
)
@click.option("--instructions", type=FILE, help="One instruction a line.  [default: 24 usual ones]")
@click.option(
    "--count",
    type=click.IntRange(1, 4096),
    default=COUNT,
    show_default=True,
    help="Pairs of a photo and an instruction, at most.",
)
@click.option(
    "--side",
    type=click.IntRange(64, 4096),
    default=SIDE,
    show_default=True,
    help="Larger photos are scaled down to this many pixels along their longer side.",
)
@click.option("--force", is_flag=True, help="Replace the calibration data that is there.")
def calibrate_data(
    photos: Path, checkpoint: Path, instructions: Path | None, count: int, side: int, force: bool
) -> None:
    """Make calibration/pairs.jsonl from the photos in the folder PHOTOS.

    An export of the lanes fp8 and fp4 edits these photos by these instructions and measures the
    activations. Every photo is used before one is used again, with another instruction."""
    try:
        sentences = read_instructions(instructions)
        written = write_pairs(photos, checkpoint, sentences, count, side, force)
    except DataError as failure:
        raise click.ClickException(str(failure)) from None
    for name, reason in written.skipped:
        aside.print(f"skipped {name}: {reason}", markup=False, soft_wrap=True)
    console.print(
        f"wrote {written.pairs} pairs of {written.photos} photos to {written.index}",
        markup=False,
        soft_wrap=True,
    )
