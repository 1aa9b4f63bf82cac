"""Where the runtime folder lies."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from retouch.launcher import paths
from retouch.launcher.paths import ROOT, private_folder, runtime_folder


@pytest.fixture
def read_only(monkeypatch, tmp_path):
    """A checkout in which nothing can be written, also for root."""
    writes = paths._can_write
    monkeypatch.setattr(
        paths, "_can_write", lambda folder: folder != tmp_path / "checkout" and writes(folder)
    )
    (tmp_path / "checkout").mkdir()
    return tmp_path / "checkout"


def test_it_lies_in_the_checkout(tmp_path):
    assert runtime_folder(tmp_path, {}) == tmp_path / ".runtime"


def test_an_option_comes_first(tmp_path):
    assert runtime_folder(tmp_path, {"RETOUCH_RUNTIME": str(tmp_path / "a b")}) == tmp_path / "a b"
    assert runtime_folder(tmp_path, {"RETOUCH_RUNTIME": "here"}) == Path.cwd() / "here"
    assert runtime_folder(tmp_path, {"RETOUCH_RUNTIME": ""}) == tmp_path / ".runtime"


def test_a_read_only_checkout_has_it_in_the_users_folder(read_only, tmp_path):
    home = {"HOME": str(tmp_path)}
    assert runtime_folder(read_only, home) == tmp_path / ".local" / "state" / "retouch"
    assert (
        runtime_folder(read_only, {**home, "XDG_STATE_HOME": str(tmp_path / "state")})
        == tmp_path / "state" / "retouch"
    )
    assert (
        runtime_folder(read_only, {**home, "XDG_STATE_HOME": "relative"})
        == tmp_path / ".local" / "state" / "retouch"
    )


def test_a_user_without_a_home_has_it_in_the_temporary_folder(read_only):
    results = runtime_folder(read_only, {"HOME": "/proc/nowhere"})
    assert results.parent == Path(tempfile.gettempdir()) and results.name.startswith("retouch-")


def test_another_users_folder_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr("os.getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="another user"):
        private_folder(tmp_path / "runtime")


@pytest.mark.parametrize("name", ["models", "../models", "a b/models"])
def test_a_relative_repository_is_of_the_shells_folder(tmp_path, name):
    (tmp_path / "shell").mkdir()
    code = "from retouch.launcher.server import REPOSITORY; print(REPOSITORY)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "shell",
        capture_output=True,
        text=True,
        check=True,
        env={"RETOUCH_REPOSITORY": name, "PYTHONPATH": str(ROOT)},
    )
    assert Path(done.stdout.strip()).resolve() == (tmp_path / "shell" / name).resolve()
