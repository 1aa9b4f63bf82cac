"""`retouch calibrate`: what a step costs on this machine."""

from __future__ import annotations

import click

from retouch.backends.base import BACKENDS
from retouch.launcher.server import REPOSITORY, models
from retouch.util import extras
from retouch_clients.cli.console import console


@click.command(short_help="Measure what a step costs on this machine.")
@click.option(
    "--precision", "lanes", multiple=True, help="A lane's name.  [default: all that are exported]"
)
@click.option("--runner", type=click.Choice(list(BACKENDS)), default="onnx", show_default=True)
def calibrate(lanes: tuple[str, ...], runner: str) -> None:
    """Measure what a step costs on this machine; the scheduler reads it when a server starts."""
    extras.check("serve" if runner == "onnx" else runner)
    from retouch_clients.profiling.step_profile import calibrate

    exported = [
        name.removeprefix("denoiser_")
        for name in models(REPOSITORY)
        if name.startswith("denoiser_")
    ]
    for lane in lanes or exported:
        console.print(f"wrote {calibrate(REPOSITORY, lane, runner).name} of {lane}")
