"""`retouch doctor`: check this machine."""

from __future__ import annotations

import sys

import click
from rich.markup import escape

from retouch_clients.addresses.server_options import address_options, running_url
from retouch_clients.cli.console import console
from retouch_clients.cli.exit_codes import Exit


@click.command(short_help="Check this machine and say how to fix what is missing.")
@address_options
def doctor(url: str | None, http: bool) -> None:
    """Check this machine and say how to fix what is missing.

    The exit code is 1 if a required check fails; optional ones are marked --."""
    from retouch_clients.doctor.checks import checks

    results = list(checks(running_url(url, http), http))
    for check in results:
        mark = "[green]ok[/]" if check.good else "[yellow]--[/]" if check.optional else "[red]NO[/]"
        text = check.what if check.good else f"{check.what}: {check.advice}"
        console.print(f"{mark}  {escape(text)}", soft_wrap=True)
    passed = all(check.good or check.optional for check in results)
    sys.exit(Exit.OK if passed else Exit.FAILED)
