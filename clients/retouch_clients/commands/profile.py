"""`retouch profile`: measure the time and memory of a step on this machine."""

from __future__ import annotations

import click

from retouch.backends.base import BACKENDS
from retouch.launcher.server import REPOSITORY, models
from retouch.util import extras
from retouch_clients.cli.console import console, error_console

LANE_PREFIX = "denoiser_"


@click.command(short_help="Measure the cost of a step on this machine.")
@click.option(
    "--precision", "lanes", multiple=True, help="A lane's name.  [default: all exported lanes]"
)
@click.option(
    "--runner",
    type=click.Choice(list(BACKENDS)),
    default="onnx",
    show_default=True,
    help="The inference backend.",
)
def profile(lanes: tuple[str, ...], runner: str) -> None:
    """Measure the time and memory of a step on this machine.

    The scheduler reads the result (cost.json) when a server starts."""
    extras.check("serve" if runner == "onnx" else runner)
    from retouch_clients.profiling.step_profile import profile

    exported = [
        name.removeprefix(LANE_PREFIX)
        for name in models(REPOSITORY)
        if name.startswith(LANE_PREFIX)
    ]
    for lane in lanes or exported:
        path = profile(REPOSITORY, lane, runner)
        console.print(f"wrote {path.name} of {lane}")


@click.command(hidden=True, params=profile.params)
@click.pass_context
def calibrate(context: click.Context, **options: object) -> None:
    """The former name of `retouch profile`."""
    error_console.print("`retouch calibrate` is now called `retouch profile`")
    context.invoke(profile, **options)
