"""perf_analyzer and AIPerf at the doors of a running server, few edits each, and a flood that is
refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

import psutil
import pytest

from benchmarks.openai_server import openai_server
from benchmarks.report.aiperf import Aiperf, AiperfError
from benchmarks.report.overload import flood
from benchmarks.report.perf_analyzer import (
    PLAIN,
    SPARE,
    STREAM,
    UNARY,
    Analyzer,
    AnalyzerError,
    Load,
)
from benchmarks.report.pictures import Pictures
from benchmarks.report.run import Run
from one_lane import one_lane
from processes import INTERRUPTIBLE
from retouch.launcher.server import HOST, ROOT

COUNT = 6


@pytest.fixture(scope="module")
def pictures():
    return Pictures()


@pytest.fixture(scope="module")
def analyzer(tmp_path_factory):
    try:
        return Analyzer(tmp_path_factory.mktemp("raw"))
    except AnalyzerError as failure:
        pytest.skip(str(failure))


def export(analyzer, pictures, server, load):
    return analyzer.run(
        load, server, pictures.take(load.count * SPARE, previews=load.previews, precision=load.lane)
    )


@pytest.mark.parametrize("door", [UNARY, PLAIN], ids=lambda door: door.protocol)
def test_a_closed_loop(analyzer, pictures, server, door):
    exported = export(analyzer, pictures, server, Load(door, COUNT, clients=2))
    assert len(exported.requests) == COUNT
    assert all(
        len(request.answers) == 1 and request.answers[0] > request.sent
        for request in exported.requests
    )
    assert all(
        0 < request.milliseconds["denoiser"] < request.latency for request in exported.requests
    )
    run = Run.of(exported.requests, slo_ms=1e9, queue=exported.queue)
    assert run.good == 1 and run.rate > 0 and run.p50 <= run.p99 and run.queue >= 0


def test_a_stream(analyzer, pictures, server):
    exported = export(analyzer, pictures, server, Load(STREAM, COUNT, clients=1, previews=2))
    assert [len(request.answers) for request in exported.requests] == [3] * COUNT
    run = Run.of(exported.requests, slo_ms=1e9)
    assert 0 < run.first < run.p50 and run.gap > 0


def test_arrivals_at_a_rate(analyzer, pictures, server):
    exported = export(analyzer, pictures, server, Load(UNARY, 2 * COUNT, rate=8.0))
    assert len(exported.requests) == 2 * COUNT
    gaps = [b.sent - a.sent for a, b in zip(exported.requests, exported.requests[1:])]
    assert max(gaps) > 2 * min(gaps), "a Poisson process, no beat"


def test_each_edit_is_of_another_image(analyzer, pictures, server):
    """What a server remembers of an image is told in INFO, and the slim export keeps it."""
    export(analyzer, pictures, server, Load(UNARY, 3 * COUNT, clients=4))
    text = (analyzer.folder / "edit_sync-grpc-clients-4-bf16-0.json").read_text(encoding="latin-1")
    assert text.count('\\"parse\\":false') == 3 * COUNT and '\\"parse\\":true' not in text


def test_a_refusal_ends_perf_analyzer_and_is_told(analyzer, pictures, server):
    with pytest.raises(AnalyzerError, match="ended with status .*: .*maximum queue size"):
        export(analyzer, pictures, server, Load(UNARY, 200, clients=80))


def test_a_flood_is_refused_and_counted(pictures, server):
    run = flood(
        f"{HOST}:{server.grpc}",
        "edit_sync",
        pictures.take(120, precision="bf16"),
        rate=400.0,
        slo_ms=1e9,
        seed=0,
    )
    assert 0 < run.refused < 1 and run.good == pytest.approx(1 - run.refused)


def test_aiperf_at_the_openai_door(pictures, server, tmp_path):
    try:
        tool = Aiperf(tmp_path)
        with openai_server(f"{HOST}:{server.grpc}", tmp_path / "door.log") as url:
            run, command = tool.run(url, pictures.take(COUNT), slo_ms=1e6, clients=2)
    except AiperfError as failure:
        if "not installed" in str(failure):
            pytest.skip(str(failure))
        raise
    assert run.refused == 0 and run.good == 1 and 0 < run.p50 <= run.p99 and run.rate > 0
    assert "--endpoint-type image-edit" in command
    with pytest.raises(psutil.NoSuchProcess):
        _listener(urlsplit(url).port)


def test_ctrl_c_leaves_nothing_behind(tmp_path):
    out = tmp_path / "out"
    report = subprocess.Popen(
        [*INTERRUPTIBLE, sys.executable, "-m", "benchmarks.report", "--quick", "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "RETOUCH_REPOSITORY": str(one_lane(tmp_path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    children = set()
    try:
        deadline = time.monotonic() + 120
        while not any("perf_analyzer" in name for name in map(_name, children)):
            assert report.poll() is None and time.monotonic() < deadline
            children |= set(psutil.Process(report.pid).children(recursive=True))
            time.sleep(0.05)
    finally:
        os.kill(report.pid, signal.SIGINT)
        output, _ = report.communicate(timeout=60)
    assert report.returncode == 130 and "stopped" in output and "Traceback" not in output
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []


def _name(process):
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _listener(port):
    for connection in psutil.net_connections("tcp"):
        if connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
            return connection
    raise psutil.NoSuchProcess(port)
