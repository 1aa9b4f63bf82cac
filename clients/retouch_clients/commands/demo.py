"""`retouch demo`: edit a sample image on a server of its own."""

from __future__ import annotations

from pathlib import Path

import click

from retouch_clients.edit_options import FILE, FORCE, SENTENCE


@click.command(short_help="Edit the sample image on a server of its own.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out"),
    show_default=True,
    help="The folder for the results.",
)
@click.option("--image", type=FILE, help="Edit this image instead of the sample.")
@click.option("--instruction", type=SENTENCE, help="Use this instruction instead of the sample's.")
@FORCE
def demo(out: Path, image: Path | None, instruction: str | None, force: bool) -> None:
    """Start a server, edit the sample image and stop the server.

    Writes the source image, the previews, the result and a contact sheet."""
    from retouch_clients.demo.run import run

    run(out, image, instruction, force)
