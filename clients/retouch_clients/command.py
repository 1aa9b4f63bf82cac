"""The command group `retouch`, and how commands report errors."""

from __future__ import annotations

import signal
from typing import Any

import click
from rich.markup import escape

from retouch.api.errors import RequestError
from retouch.api.version import VERSION
from retouch.artifacts.manifest import ArtifactError
from retouch.launcher.server import ServerError
from retouch.util.extras import MissingExtraError
from retouch_clients.cli.console import error_console
from retouch_clients.cli.edit_report import print_examples
from retouch_clients.cli.exit_codes import EPILOG, Exit, exit_of
from retouch_clients.commands.adapters import adapters
from retouch_clients.commands.batch import batch
from retouch_clients.commands.bench import bench
from retouch_clients.commands.calibrate_data import calibrate_data
from retouch_clients.commands.completion import completion
from retouch_clients.commands.demo import demo
from retouch_clients.commands.doctor import doctor
from retouch_clients.commands.edit import edit
from retouch_clients.commands.evaluate import evaluate
from retouch_clients.commands.feedback import feedback
from retouch_clients.commands.inspect import inspect
from retouch_clients.commands.monitor import monitor
from retouch_clients.commands.openai import openai
from retouch_clients.commands.perf import perf
from retouch_clients.commands.profile import calibrate, profile
from retouch_clients.commands.serve import serve
from retouch_clients.commands.web import web
from retouch_clients.feedback.errors import FeedbackError
from retouch_clients.monitor.tools import MonitorError
from retouch_export.adapter import AdapterError
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.command import export

FIXABLE = (
    RequestError,
    ServerError,
    ArtifactError,
    CheckpointError,
    AdapterError,
    MissingExtraError,
    MonitorError,
    FeedbackError,
)


class Commands(click.Group):
    """Prints errors that a user can fix as one sentence and sets the exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except FIXABLE as failure:
            error_console.print(f"[red]Error[/]: {escape(str(failure))}", soft_wrap=True)
            if isinstance(failure, RequestError):
                print_examples(failure.examples, error_console)
            context.exit(exit_of(failure))
        except (KeyboardInterrupt, click.Abort):
            error_console.print("stopped")
            context.exit(Exit.STOPPED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(VERSION, prog_name="retouch")
def retouch() -> None:
    """Edit images by instructions."""


COMMANDS = (
    edit,
    batch,
    serve,
    openai,
    web,
    demo,
    bench,
    evaluate,
    feedback,
    perf,
    export,
    adapters,
    inspect,
    profile,
    calibrate,
    calibrate_data,
    monitor,
    doctor,
    completion,
)
for command in COMMANDS:
    retouch.add_command(command)


def main() -> None:
    # SIGTERM stops a command as Ctrl-C does, and with it the server that it started
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    retouch(prog_name="retouch")
