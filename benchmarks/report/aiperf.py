"""NVIDIA's AIPerf against the OpenAI endpoint. It has an environment of its own, because it needs
numpy 2."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from benchmarks.report import pictures, process
from benchmarks.report.run import Run
from retouch.api.request import EditRequest
from retouch.launcher.server import ROOT

MODEL = "retouch-bf16"  # as the OpenAI door names the lane
ENVIRONMENT = ROOT / ".venv-aiperf"
VERSION = "0.13.0"
TOKENIZER = (
    ROOT / "checkpoints" / "photo" / "tokenizer"
)  # it counts tokens of sentences, and would fetch one that is not local
# offline it would look for that one in the hub's cache alone
ONLINE = {"HF_HUB_OFFLINE": "", "TRANSFORMERS_OFFLINE": ""}
WORKERS = 2  # processes that send, at most; one for each edit at once
ADVICE = "`make bench` installs requirements-aiperf.txt into .venv-aiperf"


class AiperfError(RuntimeError):
    """AIPerf is unavailable or failed; one sentence."""


class Aiperf:
    """The command. Files of every run go to a folder of their own in `folder`."""

    def __init__(self, folder: Path, environment: Path = ENVIRONMENT) -> None:
        """Raises AiperfError, also while the environment is being installed: make's stamp marks the
        end."""
        if not (environment / ".setup").is_file():
            raise AiperfError(f"AIPerf is not installed; {ADVICE}")
        self.binary = environment / "bin" / "aiperf"
        self.folder = folder

    def run(
        self,
        url: str,
        requests: Sequence[EditRequest],
        slo_ms: float,
        clients: int = 0,
        rate: float = 0.0,
        turn: int = 0,
    ) -> tuple[Run, str]:
        """Send all requests to the endpoint at `url`, `clients` at once or `rate` a second as a
        Poisson process. Return the run and the command. Raises AiperfError."""
        name = f"openai-clients-{clients}-{turn}" if clients else f"openai-rate-{rate:.1f}-{turn}"
        out = self.folder / name
        out.mkdir(parents=True, exist_ok=True)
        input_file = pictures.for_aiperf(requests, out / "input.jsonl")
        files = ["--input-file", str(input_file), "--artifact-dir", str(out)]
        command = [
            str(self.binary),
            "profile",
            *arguments(url, len(requests), slo_ms, clients, rate),
            *files,
        ]
        try:
            status = process.run(command, out / "aiperf.log", ONLINE)
        except TimeoutExpired as late:
            raise AiperfError(f"AIPerf took more than {late.timeout:g} s") from None
        export = out / "profile_export_aiperf.json"
        if status or not export.is_file():
            raise AiperfError(f"AIPerf ended with status {status}: {_complaint(out)}")
        _tidy(out)
        return read_export(export), shlex.join(part.removeprefix(f"{ROOT}/") for part in command)


def arguments(url: str, count: int, slo_ms: float, clients: int, rate: float) -> list[str]:
    load = (
        {"--concurrency": f"{clients}"}
        if clients
        else {"--request-rate": f"{rate:.2f}", "--arrival-pattern": "poisson"}
    )
    options = {
        "--model": MODEL,
        "--endpoint-type": "image-edit",
        "--url": url.removesuffix("/v1"),  # which it adds itself
        **load,
        "--request-count": f"{count}",
        "--goodput": f"request_latency:{slo_ms:g}",
        "--extra-inputs": "on_unknown:try",  # as perf_analyzer's requests, which are all edited
        "--custom-dataset-type": "single-turn",
        "--dataset-sampling-strategy": "sequential",
        "--tokenizer": f"{TOKENIZER}",
        "--workers-max": f"{min(clients, WORKERS) or WORKERS}",
        "--record-processors": "1",
        "--ui": "none",
    }
    return [
        *(word for option in options.items() for word in option),
        "--no-gpu-telemetry",
        "--no-server-metrics",
    ]


def read_export(path: Path) -> Run:
    """A run from AIPerf's summary. Raises AiperfError when no request was answered."""
    summary: dict[str, Any] = json.loads(path.read_text())
    if "request_latency" not in summary:
        raise AiperfError(f"none of AIPerf's requests was answered: {_reasons(summary)}")
    latency = summary["request_latency"]
    return Run(
        latency["p50"],
        latency["p90"],
        latency["p99"],
        rate=_figure(summary, "request_throughput"),
        good=_figure(summary, "good_request_fraction"),
        goodput=_figure(summary, "goodput"),
        refused=_figure(summary, "request_error_rate") / 100,
    )


def _figure(summary: dict[str, Any], name: str) -> float:
    return float(summary.get(name, {}).get("avg", 0.0))


def _reasons(summary: dict[str, Any]) -> str:
    return (
        "; ".join(
            f"{error['count']} times {error['error_details'].get('message', '')[:120]}"
            for error in summary.get("error_summary") or []
        )
        or "it says nothing of errors"
    )


def _complaint(out: Path) -> str:
    """The endpoint's answer to the first failed request, or AIPerf's own log."""
    records = out / "profile_export.jsonl"
    lines = records.read_text().splitlines() if records.is_file() else []
    for error in (json.loads(line).get("error") for line in lines):
        if error:
            return error["message"]
    return f"its log is aiperf.log in {out.name}"


def _tidy(out: Path) -> None:
    """Keep the figures and the log. Two other files hold the images."""
    for name in ("input.jsonl", "inputs.json"):
        (out / name).unlink(missing_ok=True)
