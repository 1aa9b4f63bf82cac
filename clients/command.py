"""The command line: the group `retouch`, whose commands are in clients/commands, and what becomes of their failures."""

from __future__ import annotations

import signal
from typing import Any

import click
from rich.markup import escape

from clients.commands.batch import batch
from clients.commands.bench import bench
from clients.commands.calibrate import calibrate
from clients.commands.calibrate_data import calibrate_data
from clients.commands.completion import completion
from clients.commands.demo import demo
from clients.commands.doctor import doctor
from clients.commands.edit import edit
from clients.commands.inspect import inspect
from clients.commands.monitor import monitor
from clients.commands.openai import openai
from clients.commands.perf import perf
from clients.commands.serve import serve
from clients.commands.web import web
from clients.exits import EPILOG, Exit, exit_of
from clients.monitor import MonitorError
from clients.show import aside
from export.command import export
from export.files import CheckpointError
from retouch import types
from retouch.manifest import ArtifactError
from retouch.server import ServerError
from retouch.types import RequestError


class Commands(click.Group):
    """Turns the failures that a user can mend into one sentence and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (RequestError, ServerError, ArtifactError, CheckpointError, MonitorError) as failure:
            aside.print(f"[red]Error[/]: {escape(str(failure))}", soft_wrap=True)
            context.exit(exit_of(failure))
        except (KeyboardInterrupt, click.Abort):
            aside.print("stopped")
            context.exit(Exit.STOPPED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(types.VERSION, prog_name="retouch")
def retouch() -> None:
    """Edit images by sentences."""


COMMANDS = (
    edit, batch, serve, openai, web, demo, bench, perf, export, inspect, calibrate, calibrate_data,
    monitor, doctor, completion,
)
for command in COMMANDS:
    retouch.add_command(command)


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopping a service stops its server in order
    retouch(prog_name="retouch")
