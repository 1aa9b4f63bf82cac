"""`retouch doctor`: what this machine lacks."""

from __future__ import annotations

import sys

import click
from rich.markup import escape

from retouch_clients.addresses.server_options import address, running_url
from retouch_clients.cli.console import console
from retouch_clients.cli.exit_codes import Exit


@click.command(short_help="Say what this machine lacks.")
@address
def doctor(url: str | None, http: bool) -> None:
    """Say what this machine lacks, and how to mend it. What only some commands need does not
    count."""
    from retouch_clients.doctor.checks import checks

    found = list(checks(running_url(url, http), http))
    for check in found:
        mark = "[green]ok[/]" if check.good else "[yellow]--[/]" if check.optional else "[red]NO[/]"
        said = check.what if check.good else f"{check.what}: {check.advice}"
        console.print(f"{mark}  {escape(said)}", soft_wrap=True)
    sys.exit(Exit.OK if all(check.good or check.optional for check in found) else Exit.FAILED)
