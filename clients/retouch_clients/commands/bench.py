"""`retouch bench`: how quick a running server is, as one of its clients sees it."""

from __future__ import annotations

import asyncio
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
from retouch_clients.addresses.server_options import address, running_url
from retouch_clients.bench.closed_loop import Drawn, Measured, draw, measure
from retouch_clients.cli.console import console, is_interactive, write
from retouch_clients.cli.exit_codes import EPILOG
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
                f"{value!r} is not allowed; give numbers from 1 to 256 with commas between, as 1,4",
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
    help="Clients at a time, one row each.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 100_000),
    default=32,
    show_default=True,
    help="Edits of a row.",
)
@click.option(
    "--warm-up",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Edits before, not counted.",
)
@address
@click.option("--steps", type=int, default=0, help="0: the model's default.")
@click.option("--previews", type=int, default=1, show_default=True)
@click.option("--precision", type=TEXT, default="auto", show_default=True)
@click.option("--region", type=TEXT, default="auto", show_default=True, help="auto or full.")
@click.option(
    "--deadline-ms", type=int, default=0, help="Edits that would take longer are refused; 0: none."
)
@click.option(
    "--json",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the figures here as well.",
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
    """Measure a running server in a closed loop, each edit of another drawn image.

    What it shows is the latency that this client sees, previews and all, on a machine that the
    client may share with the server. A refused edit is not tried again. `make bench` is the long
    report."""
    fields["region"] = region.encode()
    place = running_url(url, http)
    with option_names():
        rows = asyncio.run(_measure(place, http, concurrency, count, warm_up, fields))
    _show(place, rows)
    if out:
        write(
            out,
            (
                json.dumps({"url": place, "rows": [row.figures() for row in rows]}, indent=2) + "\n"
            ).encode(),
        )
    if not any(row.whole for row in rows):
        raise RequestError(
            "every edit was refused; ask for less, or allow more time", "UNAVAILABLE"
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
    numbers = itertools.count(
        secrets.randbelow(2**48)
    )  # a server remembers the images of other runs
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(
        *columns, console=console, transient=True, disable=not is_interactive(console)
    ) as bar:
        async with AsyncRetouch(url, http, retries=Retries(attempts=1)) as client:
            for drawn in _draw(numbers, warm_up):
                await client.edit_one(drawn.image, drawn.instruction, **fields | {"deadline_ms": 0})
            for clients in concurrency:
                task = bar.add_task(f"{clients} at a time", total=count)
                drawn = _draw(numbers, count)
                rows.append(
                    await measure(
                        client, drawn, clients, fields, lambda task=task: bar.advance(task)
                    )
                )
    return rows


def _draw(numbers: Iterator[int], count: int) -> list[Drawn]:
    return [draw(number) for number in itertools.islice(numbers, count)]


def _show(url: str, rows: list[Measured]) -> None:
    table = Table(title=f"closed loop on {url}")
    for words in COLUMNS.values():
        table.add_column(words, justify="right")
    for row in rows:
        figures = row.figures()
        table.add_row(*("–" if figures[name] is None else f"{figures[name]:,}" for name in COLUMNS))
    console.print(table)
    for row in rows:
        for sentence, times in row.refused.most_common(3):
            console.print(f"{row.clients} at a time, {times} × {escape(sentence)}", soft_wrap=True)
