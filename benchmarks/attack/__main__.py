"""Hostile requests, wild tensors, killed processes and killed clients against real servers.

    python -m benchmarks.attack [--requests 3000] [--tensors 1200] [--kills 30] [--clients 100]
                                [--stops 10] [--json PATH]

All traffic is on loopback. It passes when no request hung or was lost, no endpoint answered with an
internal error, and a plain edit succeeds after each part."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from benchmarks.attack.killed_clients import attack_by_killed_clients, check_edit
from benchmarks.attack.outcomes import ANSWERED, DROPPED, FAILED, HUNG, REFUSED, Outcomes
from benchmarks.attack.requests_part import (
    ENDPOINTS,
    attack_endpoint,
    attack_openai,
    attack_stages,
)
from benchmarks.attack.stops import attack_by_kills, attack_by_sigterm
from benchmarks.openai_server import openai_server
from benchmarks.results import save_json
from benchmarks.table import machine
from retouch.launcher.server import HOST, RUNTIME, Server

COLUMNS = (ANSWERED, REFUSED, DROPPED, FAILED, HUNG)


def main() -> None:
    options = parse()
    parts = [*_on_a_server_each(options), *_on_own_servers(options)]
    show(parts)
    figures = {"machine": machine(), "parts": {part.part: part.figures() for part in parts}}
    save_json(options.json, figures)
    sys.exit(0 if all(part.passed for part in parts) else 1)


def _on_a_server_each(options: argparse.Namespace) -> Iterator[Outcomes]:
    """Run each part on a server of its own, so that a dead server fails one part only."""
    attacks: list[Callable[[Server, int], Outcomes]] = [
        lambda server, _, model=model: attack_endpoint(server, model, options.requests)
        for model in ENDPOINTS
    ]
    attacks.append(lambda _, port: attack_openai(port, options.requests))
    attacks.append(lambda server, _: attack_stages(server, options.tensors))
    attacks.append(lambda server, _: attack_by_killed_clients(server, options.clients))
    for number, attack in enumerate(attacks):
        with (
            Server(log=RUNTIME / f"attack-{number}.log") as server,
            openai_server(f"{HOST}:{server.grpc}") as url,
        ):
            outcomes = attack(server, urlsplit(url).port)
            if server.process.poll() is not None:
                outcomes.add(HUNG, f"the server has ended; see its log {number}")
            elif detail := check_edit(server.grpc):
                outcomes.add(HUNG, f"a plain edit afterwards: {detail}")
            yield outcomes


def _on_own_servers(options: argparse.Namespace) -> Iterator[Outcomes]:
    if options.kills:
        yield attack_by_kills(options.kills)
    if options.stops:
        yield attack_by_sigterm(options.stops)


def show(parts: list[Outcomes]) -> None:
    table = Table(title=machine())
    for name in ("part", "requests", *COLUMNS, "slowest"):
        table.add_column(name)
    for part in parts:
        counts = (str(part.counts[column]) for column in COLUMNS)
        table.add_row(part.part, str(part.total), *counts, f"{part.slowest:.1f} s")
    console = Console(width=120)
    console.print(table)
    for part in parts:
        for example in part.examples:
            console.print(f"{part.part}, {example}", markup=False)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attack", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--requests", type=int, default=3000, help="at each endpoint")
    parser.add_argument("--tensors", type=int, default=1200, help="requests at the stages")
    parser.add_argument("--clients", type=int, default=100, help="that are killed")
    parser.add_argument("--kills", type=int, default=30, help="of a server's processes")
    parser.add_argument("--stops", type=int, default=10, help="by SIGTERM, under load")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
