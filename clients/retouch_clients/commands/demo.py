"""`retouch demo`: from nothing to an edited image."""

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
)
@click.option("--image", type=FILE)
@click.option("--instruction", type=SENTENCE)
@FORCE
def demo(out: Path, image: Path | None, instruction: str | None, force: bool) -> None:
    """Start a server, edit the sample image, write before, previews, after and a contact sheet,
    stop the server."""
    from retouch_clients.demo.run import run

    run(out, image, instruction, force)
