"""`retouch demo`: make example edits on a server of its own."""

from __future__ import annotations

from pathlib import Path

import click

from retouch_clients.edit_options import FILE, FORCE, SENTENCE


@click.command(short_help="Make example edits on a server of its own.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out"),
    show_default=True,
    help="The folder for the results.",
)
@click.option("--image", type=FILE, help="Edit this image instead of the samples.")
@click.option("--instruction", type=SENTENCE, help="Make this edit instead of the examples.")
@FORCE
def demo(out: Path, image: Path | None, instruction: str | None, force: bool) -> None:
    """Start a server, make the example edits and stop the server.

    With an image or an instruction, make that edit alone. Writes source images, previews, results
    and a contact sheet."""
    from retouch_clients.demo.run import run

    run(out, image, instruction, force)
