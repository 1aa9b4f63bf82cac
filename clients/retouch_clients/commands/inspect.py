"""`retouch inspect`: what a checkpoint is, before it is exported."""

from __future__ import annotations

import json
from pathlib import Path

import click

from retouch_clients.cli.console import write
from retouch_clients.cli.exit_codes import Exit


@click.command(short_help="Say what a checkpoint is and what it lacks.")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--hashes",
    is_flag=True,
    help="Read all files and compare them with the hashes that the folder carries.",
)
@click.option(
    "--json",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the figures here as well.",
)
@click.option(
    "--variant",
    metavar="NAME",
    help="Read the weights of this variant, as fp16, where a component has them.",
)
def inspect(checkpoint: Path, hashes: bool, out: Path | None, variant: str | None) -> None:
    """Say what CHECKPOINT is, how large its lanes are, which GPUs they fit and what it lacks.

    The exit code is 1 when something is missing that an export needs.
    """
    from retouch_clients.inspection.tables import show
    from retouch_export.summary import summary

    found = summary(checkpoint, hashes, variant)
    show(found)
    if out:
        write(out, (json.dumps(found.words(), indent=2) + "\n").encode())
    click.get_current_context().exit(Exit.FAILED if found.missing else Exit.OK)
