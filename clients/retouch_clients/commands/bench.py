"""`retouch bench`: latency and throughput of a running server, as its clients see them."""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from retouch.api.errors import RequestError
from retouch.client import AsyncRetouch, Retries
from retouch_clients.addresses.server_options import address_options, running_url
from retouch_clients.bench.closed_loop import Drawing, Measured, draw, measure
from retouch_clients.cli.console import console, is_interactive
from retouch_clients.cli.exit_codes import EPILOG
from retouch_clients.cli.output_files import replace_file
from retouch_clients.edit_options import TEXT
from retouch_clients.option_names import option_names

COLUMNS = {
    "concurrency": "clients",
    "answered": "edits",
    "edits_per_second": "edits/s",
    "p50_ms": "p50 ms",
    "p90_ms": "p90 ms",
    "p99_ms": "p99 ms",
    "first_preview_p50_ms": "first preview p50 ms",
    "refused": "refused",
}


class Numbers(click.ParamType):
    """`1,2,4` → (1, 2, 4)."""

    name = "n,n,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = value.split(",")
        if not all(part.strip().isdecimal() and 1 <= int(part) <= 256 for part in parts):
            self.fail(
                f"{value!r} is not allowed; use numbers from 1 to 256 separated by commas, as 1,4",
                param,
                ctx,
            )
        return tuple(map(int, parts))


@click.command(epilog=EPILOG, short_help="Measure a running server.")
@click.option(
    "--concurrency",
    type=Numbers(),
    default="1,4",
    show_default=True,
    help="Numbers of concurrent clients; each gets a row.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 100_000),
    default=32,
    show_default=True,
    help="Edits per row.",
)
@click.option(
    "--warm-up",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Edits before the measurement.",
)
@address_options
@click.option("--steps", type=int, default=0, help="Steps per edit; 0: the model's default.")
@click.option("--previews", type=int, default=1, show_default=True, help="Previews per edit.")
@click.option(
    "--precision", type=TEXT, default="auto", show_default=True, help="A policy or a lane."
)
@click.option("--region", type=TEXT, default="auto", show_default=True, help="auto, full or find.")
@click.option(
    "--deadline-ms",
    type=int,
    default=0,
    help="Reject edits that would take longer; 0: no deadline.",
)
@click.option(
    "--json",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the figures to this file.",
)
def bench(
    concurrency: tuple[int, ...],
    count: int,
    warm_up: int,
    url: str | None,
    http: bool,
    region: str,
    out: Path | None,
    **fields: Any,
) -> None:
    """Measure a running server in a closed loop. Each edit has a new image.

    The latency is the client's, with previews. The client may share the machine with the server.
    Rejected edits are not retried. `make bench` writes the long report."""
    fields["region"] = region.encode()
    address = running_url(url, http)
    with option_names():
        rows = asyncio.run(_measure(address, http, concurrency, count, warm_up, fields))
    _show(address, rows)
    if out:
        figures = {"url": address, "rows": [row.figures() for row in rows]}
        replace_file(out, (json.dumps(figures, indent=2) + "\n").encode())
    if not any(row.total for row in rows):
        raise RequestError(
            "every edit was rejected; use fewer clients or a longer deadline", "UNAVAILABLE"
        )


async def _measure(
    url: str,
    http: bool,
    concurrency: tuple[int, ...],
    count: int,
    warm_up: int,
    fields: dict[str, Any],
) -> list[Measured]:
    rows = []
    unhurried: dict[str, Any] = fields | {"deadline_ms": 0}
    # start at random: the server caches the images of other runs
    numbers = itertools.count(secrets.randbelow(2**48))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(
        *columns, console=console, transient=True, disable=not is_interactive(console)
    ) as bar:
        async with AsyncRetouch(url, http, retries=Retries(attempts=1)) as client:
            for drawing in _draw(numbers, warm_up):
                await client.edit_one(drawing.image, drawing.instruction, **unhurried)
            for clients in concurrency:
                task = bar.add_task(f"{clients} clients", total=count)
                advance = functools.partial(bar.advance, task)
                drawings = _draw(numbers, count)
                rows.append(await measure(client, drawings, clients, fields, advance))
    return rows


def _draw(numbers: Iterator[int], count: int) -> list[Drawing]:
    return [draw(number) for number in itertools.islice(numbers, count)]


def _show(url: str, rows: list[Measured]) -> None:
    table = Table(title=f"closed loop on {url}")
    for title in COLUMNS.values():
        table.add_column(title, justify="right")
    for row in rows:
        figures = row.figures()
        table.add_row(*("–" if figures[name] is None else f"{figures[name]:,}" for name in COLUMNS))
    console.print(table)
    for row in rows:
        for reason, count in row.refused.most_common(3):
            console.print(f"{row.clients} clients, {count} × {escape(reason)}", soft_wrap=True)
