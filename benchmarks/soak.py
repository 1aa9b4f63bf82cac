"""Ten thousand random edits on a real server, many abandoned: none is lost, memory is stable.

    python -m benchmarks.soak [--count 10000] [--json PATH]

Sizes, steps and regions are random, and every edit is of another image. Resident memory is that of
the server and all its stubs."""

from __future__ import annotations

import argparse
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tritonclient.grpc as grpc
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.resident import resident
from benchmarks.results import save_json
from benchmarks.table import machine
from benchmarks.uncached_images import unseen
from retouch.api.errors import RequestError
from retouch.api.lanes import LANES
from retouch.api.request import EditRequest
from retouch.client import Retouch, Retries, inputs_of
from retouch.imaging import images
from retouch.launcher.server import HOST, RUNTIME, Server
from training.render import render
from training.scenes import Pair, held_out

CLIENTS = 6
WARM = 0.1  # of all edits: after these, memory is taken for what it is going to be
ALLOWED = 0.03  # that it may have grown by at the end
PATIENCE = 60.0  # seconds without an edit's end, after which the others are lost
LEAVE = {"at once": 0.1, "at the first answer": 0.2}  # shares of edits that are not waited for
ANSWERED = "answered"
FAILED = "failed"
CANCELLED = "cancelled"


@dataclass
class Soak:
    """Outcomes of the edits as their clients saw them; resident bytes by number of ended edits."""

    count: int
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    resident: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sent: int = 0

    def numbers(self) -> Iterator[int]:
        """Of the edits to send, each to one client."""
        while True:
            with self._lock:
                if self._sent == self.count:
                    return
                self._sent += 1
                number = self._sent
            yield number

    def ended(self, outcome: str, reason: str = "") -> None:
        with self._lock:
            self.outcomes[outcome] += 1
            if reason:
                self.reasons[reason] += 1

    @property
    def accepted(self) -> int:
        return self._sent

    @property
    def growth(self) -> float:
        """Growth of resident memory as a share, from the WARM-th edit to the end."""
        warm = min((ended for ended in self.resident if ended >= self.count * WARM), default=0)
        return self.resident[max(self.resident)] / self.resident[warm] - 1

    @property
    def whole(self) -> bool:
        return self.accepted == sum(self.outcomes.values()) == self.count


def main() -> None:
    options = parse()
    pairs = [pair for pair, _ in zip(held_out(), range(64))]
    with Server(log=RUNTIME / "soak.log") as server:
        begin = time.perf_counter()
        soak = Soak(options.count)
        clients = [
            threading.Thread(target=client, args=(server, soak, pairs), daemon=True)
            for _ in range(CLIENTS)
        ]
        for thread in clients:
            thread.start()
        watch(server, soak, clients)
        seconds = time.perf_counter() - begin
        *_, last = Retouch(f"{HOST}:{server.grpc}").edit(
            images.encode(render(pairs[0].source).pixels), pairs[0].instruction
        )
    report(soak, seconds, options.json)
    sys.exit(0 if soak.whole and soak.growth <= ALLOWED and last.final else 1)


def client(server: Server, soak: Soak, pairs: list[Pair]) -> None:
    """Send one edit after the other until all are sent."""
    with Retouch(f"{HOST}:{server.grpc}", retries=Retries(attempts=1)) as connection:
        for number in soak.numbers():
            try:
                soak.ended(edit(connection, pairs, number))
            except RequestError as refusal:
                soak.ended(FAILED, re.sub(r"\d+(\.\d+)?", "N", str(refusal)))


def edit(connection: Retouch, pairs: list[Pair], number: int) -> str:
    """Send one random edit and classify its outcome."""
    rng = random.Random(number)
    pair = rng.choice(pairs)
    leave = rng.random()
    pixels = images.fit(render(pair.source).pixels, (rng.randint(48, 200), rng.randint(48, 180)))
    request = EditRequest(
        unseen(pixels, number),
        pair.instruction,
        seed=number,
        steps=rng.randint(1, 6),
        previews=rng.randint(0, 3),
        precision=rng.choice(LANES),
        region=rng.choice((b"auto", b"auto", b"full")),
        priority=rng.randint(0, 2),
        step_cache=rng.choice((0.0, 0.1)),
        deadline_ms=rng.choice((0, 0, 0, 60, 5000)),
    )
    if leave < LEAVE["at once"]:
        leave_unread(connection.url, request, rng.random() / 20)
        return CANCELLED
    answers = connection.edit(**vars(request))
    for answer in answers:
        if answer.final:
            return ANSWERED
        if leave < sum(LEAVE.values()):
            answers.close()
            return CANCELLED
    raise RequestError("a stream ended without a final answer", "INTERNAL")


def leave_unread(url: str, request: EditRequest, seconds: float) -> None:
    """Send a request and disconnect after so many seconds, without reading the answer."""
    connection = grpc.InferenceServerClient(url)
    connection.start_stream(lambda result, error: None)
    connection.async_stream_infer("edit", inputs_of(request, grpc))
    time.sleep(seconds)
    connection.stop_stream(cancel_requests=True)
    connection.close()


def watch(server: Server, soak: Soak, clients: list[threading.Thread]) -> None:
    """Show the progress and record resident memory, until the clients are done or time out."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("edits", total=soak.count)
        ended = 0
        since = time.monotonic()
        while any(client.is_alive() for client in clients) and time.monotonic() - since < PATIENCE:
            if ended != sum(soak.outcomes.values()):
                ended = sum(soak.outcomes.values())
                since = time.monotonic()
            bar.update(task, completed=ended)
            if ended - max(soak.resident, default=-soak.count) >= soak.count / 100:
                soak.resident[ended] = resident(server)
            time.sleep(0.2)
    time.sleep(2)  # what was left half-way is over
    soak.resident[soak.count] = resident(server)


def report(soak: Soak, seconds: float, path: Path | None) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in sorted(soak.outcomes.items()))
    print(machine())
    print(
        f"{soak.accepted} edits in {seconds:.0f} s: {counts}"
        + ("" if soak.whole else "; SOME ARE LOST")
    )
    for reason, count in soak.reasons.most_common():
        print(f"  {count} times: {reason}")
    print(f"resident memory after {WARM:.0%} of them and at the end: {soak.growth:+.2%}")
    save_json(
        path,
        {
            "machine": machine(),
            "seconds": seconds,
            "outcomes": soak.outcomes,
            "failures": soak.reasons,
            "growth": soak.growth,
            "resident": soak.resident,
        },
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
