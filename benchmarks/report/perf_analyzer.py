"""NVIDIA's perf_analyzer: its command lines and the files that it exports."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import pictures, process
from benchmarks.report.run import Request
from retouch.api.request import EditRequest
from retouch.launcher.server import HOST, ROOT, Server
from retouch_clients.bench.perf_analyzer_binary import AnalyzerError, prepare

SPARE = 2  # times as many rows as requests: its threads do not take them quite in turn


@dataclass(frozen=True)
class Door:
    """A model by one protocol; `streaming` ones answer several times."""

    name: str
    model: str
    protocol: str  # grpc or http
    streaming: bool = False


UNARY = Door("edit_sync, gRPC", "edit_sync", "grpc")
PLAIN = Door("edit_sync, HTTP", "edit_sync", "http")
STREAM = Door("edit, gRPC stream", "edit", "grpc", True)


@dataclass(frozen=True)
class Load:
    """`clients` edits at once, each followed by the next, or `rate` edits a second as a Poisson
    process; `count` in all."""

    door: Door
    count: int
    clients: int = 0
    rate: float = 0.0
    lane: str = "bf16"
    previews: int = 0

    @property
    def name(self) -> str:
        """The name of its files."""
        load = f"clients-{self.clients}" if self.clients else f"rate-{self.rate:.1f}"
        previews = f"-previews-{self.previews}" if self.previews else ""
        return f"{self.door.model}-{self.door.protocol}-{load}-{self.lane}{previews}"


@dataclass(frozen=True)
class Export:
    """The results of a load: its requests, and the row of the CSV with durations in
    microseconds."""

    requests: list[Request]
    row: dict[str, float]
    command: str

    @property
    def queue(self) -> float:
        """Mean milliseconds in Triton's queue."""
        return self.row["Server Queue"] / 1000


class Analyzer:
    """The binary, fetched by pip if it is missing. Files of every run stay in `folder`."""

    def __init__(self, folder: Path) -> None:
        """Raises AnalyzerError."""
        self.binary, self.libraries = prepare()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def run(
        self, load: Load, server: Server, requests: Sequence[EditRequest], turn: int = 0
    ) -> Export:
        """Send `load.count` of the requests; there are SPARE times as many. Raises
        AnalyzerError."""
        stem = self.folder / f"{load.name}-{turn}"
        inputs, table, export, log = (
            stem.with_name(stem.name + end) for end in (".input.json", ".csv", ".json", ".log")
        )
        pictures.for_perf_analyzer(requests, inputs)
        files = [
            "--input-data",
            str(inputs),
            "-f",
            str(table),
            "--profile-export-file",
            str(export),
        ]
        command = [
            part.removeprefix(f"{ROOT}/")
            for part in (str(self.binary), *arguments(load, server), *files)
        ]
        try:
            status = process.run(command, log, {"LD_LIBRARY_PATH": str(self.libraries)})
        except subprocess.TimeoutExpired as late:
            raise AnalyzerError(f"perf_analyzer took more than {late.timeout:g} s") from None
        finally:
            inputs.unlink()
        if status or not export.is_file():
            raise AnalyzerError(f"perf_analyzer ended with status {status}: {_complaint(log)}")
        slim(export)
        return Export(read_export(export), read_table(table), shlex.join(command))


def arguments(load: Load, server: Server) -> list[str]:
    port = server.http if load.door.protocol == "http" else server.grpc
    rate = {"--request-rate-range": f"{load.rate:.2f}", "--request-distribution": "poisson"}
    options = {
        "-m": load.door.model,
        "-i": load.door.protocol,
        "-u": f"{HOST}:{port}",
        "--request-count": f"{load.count}",
        **({"--concurrency-range": f"{load.clients}"} if load.clients else rate),
    }
    flags = {"--async": load.door.streaming or not load.clients, "--streaming": load.door.streaming}
    return [
        *(word for option in options.items() for word in option),
        *(flag for flag, enabled in flags.items() if enabled),
    ]


# -- what it writes --------------------------------------------------------------------------------


def read_export(path: Path) -> list[Request]:
    """Requests of a profile export, in the order in which they were sent.

    The file is not UTF-8, because tensors' bytes are written as they are. A stream's last answer is
    empty and ignored. Rates come from these times too: with --request-count perf_analyzer divides
    by whole seconds."""
    return sorted(
        (_request(entry) for entry in _experiment(path)["requests"]),
        key=lambda request: request.sent,
    )


def read_table(path: Path) -> dict[str, float]:
    """The one row of a CSV."""
    (row,) = csv.DictReader(path.read_text().splitlines())
    return {name: float(value) for name, value in row.items() if value}


def slim(path: Path) -> None:
    """Keep times and INFO, and remove the images, which take megabytes."""
    whole = _whole(path)
    for request in whole["experiments"][0]["requests"]:
        request["request_inputs"] = {
            name: value
            for name, value in request["request_inputs"].items()
            if name == "INSTRUCTION"
        }
        request["response_outputs"] = [
            {"INFO": output.get("INFO", "")} for output in request["response_outputs"]
        ]
    path.write_text(json.dumps(whole, ensure_ascii=False), encoding="latin-1")


def _request(entry: dict[str, Any]) -> Request:
    answers = [
        (when, output["INFO"])
        for when, output in zip(entry["response_timestamps"], entry["response_outputs"])
        if output.get("INFO")
    ]
    info = json.loads(answers[-1][1].encode("latin-1"))
    return Request(
        entry["timestamp"] / 1e9, [when / 1e9 for when, _ in answers], info["milliseconds"]
    )


def _experiment(path: Path) -> dict[str, Any]:
    return _whole(path)["experiments"][0]


def _whole(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes().decode("latin-1"), strict=False)


def _complaint(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "failed" in line.lower()]
    return (errors or lines or ["it said nothing"])[-1]
