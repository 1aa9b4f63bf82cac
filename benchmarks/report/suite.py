"""All measurements of a report on one server, in turns: each load several times."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path

from benchmarks import overhead
from benchmarks.interleave import quantile
from benchmarks.machine import machine
from benchmarks.openai_server import openai_server
from benchmarks.report import aiperf
from benchmarks.report.aiperf import Aiperf, AiperfError
from benchmarks.report.figures import (
    CLOSED,
    DOORS,
    OPEN,
    OVERHEAD,
    QUALITY,
    STAGES,
    STREAMING,
    ColdStart,
    Figures,
    Footprint,
    Level,
    Missing,
    Overhead,
    Spread,
    Stages,
)
from benchmarks.report.overload import flood
from benchmarks.report.perf_analyzer import (
    PLAIN,
    SPARE,
    STREAM,
    UNARY,
    Analyzer,
    AnalyzerError,
    Export,
    Load,
)
from benchmarks.report.pictures import SCENES, Pictures
from benchmarks.report.plan import Effort
from benchmarks.report.quality import quality
from benchmarks.report.run import Run, stages
from benchmarks.resident import memory
from retouch.api.errors import RequestError
from retouch.artifacts.manifest import ArtifactError
from retouch.client import Retouch
from retouch.launcher.server import HOST, REPOSITORY, RUNTIME, Server, ServerError
from retouch.offline.plain_loop import PlainLoop
from retouch_clients.bench import perf_analyzer_binary
from training.lane import exported

PREVIEWS = 2
WARM_UP = 16
OURS = "asyncio client"
FAILURES = (AnalyzerError, AiperfError, ServerError, ArtifactError, RequestError, overhead.Unlike)
Say = Callable[
    [str, int, int], None
]  # what is measured now, how many measurements are done, and of how many


class Campaign:
    """Fills `figures`; raw files go to `folder`. `figures.missing` lists what cannot be
    measured."""

    def __init__(self, effort: Effort, slo_ms: float, folder: Path, say: Say) -> None:
        self.effort = effort
        self.folder = folder
        self.pictures = Pictures()
        self._say = say
        self._done = 0
        self._begin = time.monotonic()
        self.figures = Figures(
            datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M"),
            0.0,
            machine(),
            {},
            effort,
            slo_ms,
            SCENES,
        )

    def run(self) -> Figures:
        """Raises ServerError when no server starts."""
        shutil.rmtree(self.folder, ignore_errors=True)  # of the run before
        self.folder.mkdir(parents=True)
        self._turn("cold start")
        with ExitStack() as stack:
            server, client = self._start(stack)
            before = memory(server)
            with self._part("perf_analyzer", CLOSED, STREAMING, OPEN, STAGES, DOORS):
                analyzer = Analyzer(self.folder)
                self.figures.tools["perf_analyzer"] = perf_analyzer_binary.VERSION
                self._loads(analyzer, server)
            if self.figures.capacity:
                with self._part("a rate that is too much", OPEN):
                    self._flood(server)
            with self._part("AIPerf on the OpenAI door", DOORS):
                self._openai(server)
            with self._part("the plain loop", OVERHEAD):
                self._overhead(client)
            after = memory(server)
            self.figures.footprint = Footprint(
                after.processes,
                before.resident,
                after.resident,
                before.proportional,
                after.proportional,
                self.pictures.taken,
            )
        with self._part("the lanes' pictures", QUALITY):
            self._turn("quality of the lanes")
            self.figures.quality, self.figures.samples = quality(REPOSITORY, self.effort.scenes)
        self.figures.seconds = time.monotonic() - self._begin
        return self.figures

    # -- the loads ---------------------------------------------------------------------------------

    def _loads(self, analyzer: Analyzer, server: Server) -> None:
        effort = self.effort
        figures = self.figures
        self._export(analyzer, server, Load(UNARY, WARM_UP, clients=4), -1)
        unary = [
            Load(door, effort.count, clients)
            for door in (UNARY, PLAIN)
            for clients in effort.clients
        ]
        streams = [
            Load(STREAM, effort.count, clients, previews=PREVIEWS) for clients in effort.streams
        ]
        narrow = [Load(UNARY, effort.count, 1, lane=lane) for lane in exported(REPOSITORY)]
        plain = [Load(STREAM, effort.count, 1)]
        exports = self._in_turns(analyzer, server, [*unary, *streams, *plain, *narrow])
        figures.closed = [self._level(load, exports[load]) for load in (*unary, *plain)]
        figures.streaming = [self._level(load, exports[load]) for load in streams]
        figures.lanes = [self._level(load, exports[load]) for load in narrow]
        figures.stages = [
            _stages(load.clients, exports[load])
            for load in unary
            if load.door == UNARY and load.clients in (1, effort.clients[-1])
        ]
        rates = [
            Load(UNARY, effort.arrivals, rate=share * figures.capacity) for share in effort.shares
        ]
        with self._part("Poisson arrivals by perf_analyzer", OPEN):
            exports = self._in_turns(analyzer, server, rates)
            figures.open = [self._level(load, exports[load]) for load in rates]

    def _in_turns(
        self, analyzer: Analyzer, server: Server, loads: Sequence[Load]
    ) -> dict[Load, list[Export]]:
        """Run every load once, then all again, so that other load on the machine affects all alike.
        Duplicates run once."""
        exports_of: dict[Load, list[Export]] = {load: [] for load in loads}
        for turn in range(self.effort.repetitions):
            for load in exports_of:
                self._turn(
                    f"perf_analyzer: {load.door.name}, "
                    + (f"{load.clients} at once" if load.clients else f"{load.rate:.1f} a second")
                )
                exports_of[load].append(self._export(analyzer, server, load, turn))
        for exports in exports_of.values():
            self._command(exports[0].command)
        return exports_of

    def _export(self, analyzer: Analyzer, server: Server, load: Load, turn: int) -> Export:
        requests = self.pictures.take(
            load.count * SPARE, previews=load.previews, precision=load.lane
        )
        return analyzer.run(load, server, requests, turn)

    def _level(self, load: Load, exports: Iterable[Export]) -> Level:
        runs = [
            Run.of(export.requests, self.figures.slo_ms, queue=export.queue) for export in exports
        ]
        return Level.of(
            runs,
            door=load.door.name,
            tool="perf_analyzer",
            clients=load.clients or None,
            asked=load.rate or None,
            count=load.count,
            lane=load.lane,
            previews=load.previews,
        )

    def _flood(self, server: Server) -> None:
        effort = self.effort
        rate = effort.flood * self.figures.capacity
        runs = []
        for turn in range(effort.repetitions):
            self._turn(f"{rate:.0f} edits a second, which is too much")
            requests = self.pictures.take(effort.flooded, precision="bf16")
            runs.append(
                flood(
                    f"{HOST}:{server.grpc}", UNARY.model, requests, rate, self.figures.slo_ms, turn
                )
            )
        self.figures.open.append(
            Level.of(
                runs,
                door=UNARY.name,
                tool=OURS,
                clients=None,
                asked=rate,
                count=effort.flooded,
                lane="bf16",
                previews=0,
            )
        )

    def _openai(self, server: Server) -> None:
        effort = self.effort
        figures = self.figures
        tool = Aiperf(self.folder)
        rate = effort.shares[len(effort.shares) // 2] * (figures.capacity or 0.0)
        loads = [(clients, 0.0) for clients in effort.others] + (
            [(0, rate)] if effort.rated and rate else []
        )
        runs_of: dict[tuple[int, float], list[Run]] = {load: [] for load in loads}
        with openai_server(f"{HOST}:{server.grpc}", self.folder / "openai.log") as url:
            figures.tools["AIPerf"] = aiperf.VERSION
            for turn in range(effort.repetitions):
                for clients, rate in loads:
                    self._turn(
                        "AIPerf: OpenAI door, "
                        + (f"{clients} at once" if clients else f"{rate:.1f} a second")
                    )
                    run, command = tool.run(
                        url, self.pictures.take(effort.count), figures.slo_ms, clients, rate, turn
                    )
                    runs_of[clients, rate].append(run)
                    if turn == 0:
                        self._command(command)
        figures.openai = [
            Level.of(
                runs,
                door="OpenAI door",
                tool="AIPerf",
                clients=clients or None,
                asked=rate or None,
                count=effort.count,
                lane="bf16",
                previews=0,
            )
            for (clients, rate), runs in runs_of.items()
        ]

    # -- the server by itself ----------------------------------------------------------------------

    def _start(self, stack: ExitStack) -> tuple[Server, Retouch]:
        """Start servers one after the other and time them; the last one stays."""
        ready = []
        first = []
        second = []
        for number in range(self.effort.starts):
            stack.close()
            begin = time.monotonic()
            server = stack.enter_context(Server(log=RUNTIME / "benchmark.log"))
            ready.append(time.monotonic() - begin)
            client = stack.enter_context(Retouch(f"{HOST}:{server.grpc}"))
            for spent, request in zip((first, second), self.pictures.take(2, precision="bf16")):
                begin = time.monotonic()
                client.edit_one(**vars(request))
                spent.append((time.monotonic() - begin) * 1000)
            if number + 1 < self.effort.starts:
                self._turn("cold start")
        self.figures.cold_start = ColdStart(*map(Spread.of, (ready, first, second)))
        return server, client

    def _overhead(self, client: Retouch) -> None:
        loop = PlainLoop(REPOSITORY)
        effort = self.effort
        medians = []
        for _ in range(effort.repetitions):
            self._turn("the same edits in a plain loop")
            requests = self.pictures.take(effort.turns + 2, precision="bf16")
            spent = overhead.compare(loop, client, requests, warm_up=2)
            medians.append({way: quantile(times, 0.5) for way, times in spent.items()})
        self.figures.overhead = Overhead(
            Spread.of([turn["plain"] for turn in medians]),
            Spread.of([turn["served"] for turn in medians]),
            Spread.of([turn["served"] / turn["plain"] for turn in medians]),
            effort.turns,
        )

    # -- how far it is -----------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """The number of measurements, for the progress bar."""
        effort = self.effort
        loads = (
            2 * len(effort.clients)
            + len(effort.streams)
            + 1
            + max(0, len(exported(REPOSITORY)) - 1)
            + len(effort.shares)
            + 1
        )
        return (
            effort.starts + 1 + effort.repetitions * (loads + 1 + len(effort.others) + effort.rated)
        )

    def _turn(self, what: str) -> None:
        self._say(what, self._done, self.total)
        self._done += 1

    def _command(self, command: str) -> None:
        if command not in self.figures.commands:
            self.figures.commands.append(command)

    @contextmanager
    def _part(self, what: str, *sections: str) -> Iterator[None]:
        """A part without which the report can still be written."""
        try:
            yield
        except FAILURES as failure:
            self.figures.missing.append(Missing(what, str(failure), list(sections)))


def _stages(clients: int, exports: Sequence[Export]) -> Stages:
    medians = [stages(export.requests) for export in exports]
    return Stages(
        clients, {stage: Spread.of([median[stage] for median in medians]) for stage in medians[0]}
    )
