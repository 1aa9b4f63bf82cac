"""perf_analyzer's command lines, and what it exports, from files that it wrote."""

from __future__ import annotations

import json
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from benchmarks.report import perf_analyzer, process
from benchmarks.report.perf_analyzer import (
    PLAIN,
    STREAM,
    UNARY,
    Load,
    arguments,
    read_export,
    read_table,
    slim,
)
from benchmarks.report.run import Request, Run, stages
from retouch.launcher.server import ROOT
from retouch_clients.bench import perf_analyzer_binary

RECORDED = ROOT / "tests" / "recorded"
EXPORT = RECORDED / "perf_analyzer_stream.json"
SERVER = SimpleNamespace(http=1, grpc=2)


def test_an_export_is_read_in_the_order_of_sending_and_without_the_empty_last_answer():
    requests = read_export(EXPORT)
    assert len(requests) == 3
    assert [request.sent for request in requests] == sorted(request.sent for request in requests)
    assert all(len(request.answers) == 3 for request in requests), "two previews and the result"
    first = requests[0]
    assert [round((when - first.sent) * 1000) for when in first.answers] == [43, 54, 72]
    assert first.milliseconds["denoiser"] > 0 and "total" in first.milliseconds


def test_a_slim_export_says_the_same_without_images(tmp_path):
    small = tmp_path / "export.json"
    shutil.copy(EXPORT, small)
    slim(small)
    assert read_export(small) == read_export(EXPORT)
    assert small.stat().st_size < EXPORT.stat().st_size / 2 and b"PNG" not in small.read_bytes()


@pytest.mark.parametrize("kind, rate, queue", [("unary", 19.9914, 58529), ("stream", 19.9885, 250)])
def test_a_table(kind, rate, queue):
    row = read_table(RECORDED / f"perf_analyzer_{kind}.csv")
    assert (row["Inferences/Second"], row["Server Queue"]) == (rate, queue)


def test_arguments_of_a_closed_loop():
    reported = arguments(Load(PLAIN, 20, clients=4), SERVER)
    assert reported == [
        "-m",
        "edit_sync",
        "-i",
        "http",
        "-u",
        "127.0.0.1:1",
        "--request-count",
        "20",
        "--concurrency-range",
        "4",
    ]


def test_arguments_of_a_stream_and_of_a_rate():
    stream = arguments(Load(STREAM, 20, clients=1, previews=2), SERVER)
    assert stream[5] == "127.0.0.1:2" and {"--async", "--streaming"} < set(stream)
    rate = arguments(Load(UNARY, 20, rate=12.345), SERVER)
    assert rate[8:] == [
        "--request-rate-range",
        "12.35",
        "--request-distribution",
        "poisson",
        "--async",
    ]


def test_loads_have_files_of_their_own():
    loads = [
        Load(UNARY, 20, 1),
        Load(UNARY, 20, 1, lane="fp8"),
        Load(STREAM, 20, 1),
        Load(STREAM, 20, 1, previews=2),
        Load(PLAIN, 20, 1),
        Load(UNARY, 20, rate=1.0),
    ]
    assert len({load.name for load in loads}) == len(loads)


def test_a_run_by_hand():
    requests = [
        Request(0.0, [0.1], {"denoiser": 4.0}),
        Request(0.5, [0.9], {"denoiser": 8.0}),
        Request(1.0, [2.0], {"denoiser": 6.0}),
    ]
    run = Run.of(requests, slo_ms=500, refused=[0.2], queue=3.0)
    assert (run.p50, run.p99) == (pytest.approx(400), pytest.approx(1000))
    assert (run.rate, run.good, run.refused) == (1.5, 0.5, 0.25)
    assert (
        run.goodput == 1.0 and run.sent == 3.0 and run.first is run.gap is None and run.queue == 3.0
    )
    assert stages(requests) == {"denoiser": 6.0}


def test_a_streamed_run_by_hand():
    run = Run.of([Request(0.0, [0.02, 0.03, 0.05]), Request(0.0, [0.04, 0.05, 0.06])], slo_ms=55)
    assert (run.first, run.gap, run.p50) == (
        pytest.approx(30),
        pytest.approx(10),
        pytest.approx(60),
    )
    assert run.good == 0.5


def test_the_export_is_what_the_binary_writes():
    whole = json.loads(EXPORT.read_bytes().decode("latin-1"), strict=False)
    assert (
        whole["version"] == "2.47.0"
        and len(whole["experiments"][0]["requests"][0]["response_timestamps"]) == 4
    )


def test_reports_that_begin_at_once_fetch_the_binary_once(monkeypatch, tmp_path):
    fetched = []

    def fetch():
        wheel = tmp_path / f"{len(fetched)}.whl"
        fetched.append(wheel)
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(
                f"tritonclient-{perf_analyzer_binary.VERSION}.data/data/bin/perf_analyzer",
                bytes(1 << 22),
            )
        return wheel

    monkeypatch.setattr(perf_analyzer_binary, "FOLDER", tmp_path / "perf_analyzer")
    monkeypatch.setattr(perf_analyzer_binary, "_fetch", fetch)
    monkeypatch.setattr(perf_analyzer_binary.sys, "platform", "linux")
    monkeypatch.setattr(perf_analyzer_binary.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(perf_analyzer_binary, "LIBRARIES", {})
    with ThreadPoolExecutor(8) as pool:
        paths = {
            item.result() for item in [pool.submit(perf_analyzer_binary.prepare) for _ in range(8)]
        }
    ((binary, _),) = paths
    assert binary.stat().st_size == 1 << 22 and binary.stat().st_mode & 0o111
    assert len(fetched) == 1 and not fetched[0].exists(), "one, and the wheel is gone"


def test_a_run_without_an_end_is_told_and_leaves_no_pictures(tmp_path, monkeypatch):
    binary = tmp_path / "perf_analyzer"
    binary.write_text("#!/bin/sh\nsleep 60\n")
    binary.chmod(0o755)
    monkeypatch.setattr(perf_analyzer, "prepare", lambda: (binary, tmp_path))
    monkeypatch.setattr(process, "PATIENCE", 0.1)
    with pytest.raises(perf_analyzer.AnalyzerError, match="perf_analyzer took more than 0.1 s"):
        perf_analyzer.Analyzer(tmp_path / "raw").run(Load(UNARY, 1, clients=1), SERVER, [])
    assert [path.suffix for path in (tmp_path / "raw").iterdir()] == [".log"]
