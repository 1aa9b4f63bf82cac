"""`retouch completion`: a shell's completion script for the commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(short_help="Print a shell completion script.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL, for example: eval "$(retouch completion bash)" """
    group = click.get_current_context().find_root().command
    complete = get_completion_class(shell)
    assert complete is not None  # click supports all three
    click.echo(complete(group, {}, "retouch", "_RETOUCH_COMPLETE").source())
