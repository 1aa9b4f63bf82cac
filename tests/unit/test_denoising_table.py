"""The denoiser's table: what is missing is said before anything is measured, and rows outlive what
fails after them."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import clients, denoising, packages
from benchmarks.table import FASTER, Row
from retouch.launcher.server import ServerError

ROW = Row("steps", "none", 1.0, 2.0, "ms", FASTER, 1.5, "same")


@pytest.fixture
def benches(monkeypatch):
    """Two, of which the second fails, and a repository that nobody opens."""

    def fail(loop, effort):
        raise ServerError("it did not start")

    monkeypatch.setattr(
        denoising, "BENCHES", {"reference": lambda loop, effort: [ROW], "clients": fail}
    )
    monkeypatch.setattr(denoising, "PlainLoop", lambda repository: None)


def asked(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["denoising", *map(str, arguments)])
    denoising.main()


def test_rows_before_a_failure_are_shown_and_saved(benches, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(denoising, "need", lambda package: None)
    with pytest.raises(SystemExit, match="error: it did not start"):
        asked(monkeypatch, "--json", tmp_path / "rows.json")
    assert "steps" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "rows.json").read_text())["rows"]) == 1


def test_a_missing_package_is_told_before_anything_is_measured(benches, monkeypatch, tmp_path):
    monkeypatch.setattr(packages, "find_spec", lambda package: None)
    with pytest.raises(
        SystemExit, match="needs the package litserve; `make opponents` installs it"
    ):
        asked(monkeypatch, "--json", tmp_path / "rows.json")
    assert not (tmp_path / "rows.json").exists()
    asked(monkeypatch, "--only", "reference")


def test_an_opponent_that_does_not_start_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(clients, "LOG", tmp_path / "logs" / "lit.log")
    monkeypatch.setattr(clients.sys, "executable", "false")
    with (
        pytest.raises(ServerError, match="LitServe did not start; its log is lit.log"),
        clients.theirs(tmp_path),
    ):
        pass
