"""AIPerf's command line, and its summary, from a file that it wrote of a flood at twice the
capacity."""

from __future__ import annotations

import json

import pytest

from benchmarks.report import process
from benchmarks.report.aiperf import Aiperf, AiperfError, arguments, read_export
from retouch.launcher.server import ROOT

RECORDED = ROOT / "tests" / "recorded" / "aiperf.json"
URL = "http://127.0.0.1:5/v1"


def test_a_summary():
    run = read_export(RECORDED)
    assert (run.p50, run.p90, run.p99) == (
        pytest.approx(999.2, abs=0.1),
        pytest.approx(1665.3, abs=0.1),
        pytest.approx(2038.4, abs=0.1),
    )
    assert (run.rate, run.goodput) == (pytest.approx(38.6, abs=0.1), pytest.approx(6.29, abs=0.01))
    assert (run.refused, run.good) == (0.14, 0.14), "28 of 200 each"


def test_nothing_answered_is_told_with_the_reasons(tmp_path):
    document = json.loads(RECORDED.read_text())
    del document["request_latency"]
    path = tmp_path / "none.json"
    path.write_text(json.dumps(document))
    with pytest.raises(
        AiperfError, match="none of AIPerf's requests was answered: 28 times .*queue size"
    ):
        read_export(path)


def test_loads():
    closed = arguments(URL, 20, 500, 4, 0.0)
    rated = arguments(URL, 20, 250.5, 0, 7.0)
    assert closed[closed.index("--concurrency") + 1] == "4" and "--request-rate" not in closed
    assert closed[closed.index("--url") + 1] == "http://127.0.0.1:5", "it adds /v1 itself"
    assert (
        rated[rated.index("--request-rate") + 1] == "7.00"
        and rated[rated.index("--arrival-pattern") + 1] == "poisson"
    )
    assert rated[rated.index("--goodput") + 1] == "request_latency:250.5"


def test_the_tokenizer_is_a_local_one():
    command = arguments(URL, 20, 500, 4, 0.0)
    assert (ROOT / command[command.index("--tokenizer") + 1] / "tokenizer.json").is_file()


@pytest.fixture
def environment(tmp_path):
    """Whose aiperf is told by the door that there is no such model."""
    binary = tmp_path / "venv" / "bin" / "aiperf"
    binary.parent.mkdir(parents=True)
    binary.write_text(
        '#!/bin/sh\nfor last; do :; done\necho \'{"error": {"message": "no such model"}}\' > '
        "$last/profile_export.jsonl\nexit 1\n"
    )
    binary.chmod(0o755)
    (tmp_path / "venv" / ".setup").touch()
    return tmp_path / "venv"


def test_what_the_door_said_to_a_request_is_told(environment, tmp_path):
    with pytest.raises(AiperfError, match="AIPerf ended with status 1: no such model"):
        Aiperf(tmp_path / "out", environment).run(URL, [], slo_ms=1, clients=1)


def test_a_run_without_an_end_is_told(environment, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "PATIENCE", 0.1)
    (environment / "bin" / "aiperf").write_text("#!/bin/sh\nsleep 60\n")
    with pytest.raises(AiperfError, match="AIPerf took more than 0.1 s"):
        Aiperf(tmp_path / "out", environment).run(URL, [], slo_ms=1, clients=1)


def test_offline_mode_does_not_keep_it_from_a_local_tokenizer(environment, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    (environment / "bin" / "aiperf").write_text(
        '#!/bin/sh\nfor last; do :; done\necho "{\\"error\\": {\\"message\\": \\"offline: '
        '$HF_HUB_OFFLINE$TRANSFORMERS_OFFLINE.\\"}}" > $last/profile_export.jsonl\nexit 1\n'
    )
    with pytest.raises(AiperfError, match="offline: [.]"):
        Aiperf(tmp_path / "out", environment).run(URL, [], slo_ms=1, clients=1)


def test_an_environment_that_is_not_whole_is_told_with_the_way_to_get_it(environment, tmp_path):
    """pip writes the command before the packages that it needs are there."""
    (environment / ".setup").unlink()
    with pytest.raises(
        AiperfError, match="AIPerf is not installed; `make bench` installs requirements-aiperf.txt"
    ):
        Aiperf(tmp_path, environment)
