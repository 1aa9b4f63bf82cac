"""Logs: one a start, the newest are kept, none grows without end."""

from __future__ import annotations

import os
import subprocess
import sys

from retouch.launcher import log_files


def test_no_start_has_the_log_of_another(tmp_path):
    paths = []
    for _ in range(3):
        path = log_files.new_log("server", tmp_path)
        path.touch()
        paths.append(path)
    assert len(set(paths)) == 3 and all(f"-{os.getpid()}" in path.name for path in paths)


def test_the_newest_are_kept(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    old = [tmp_path / f"server-20260101-00000{turn}-{ended.pid}.log" for turn in range(6)]
    for age, path in enumerate(old):
        path.touch()
        os.utime(path, (age, age))
    (tmp_path / f"{old[0].name}.1").touch()
    other = tmp_path / f"demo-20250101-000000-{ended.pid}.log"
    other.touch()
    log_files.new_log("server", tmp_path, kept=4)
    assert sorted(tmp_path.iterdir()) == [other, *old[3:]]


def test_the_log_of_a_running_server_stays(tmp_path):
    running = tmp_path / f"server-20200101-000000-{os.getppid()}.log"
    running.touch()
    log_files.new_log("server", tmp_path, kept=1)
    assert running.exists()


def test_a_large_log_begins_anew(tmp_path):
    path = tmp_path / "server.log"
    with path.open("ab", buffering=0) as log:
        log.write(b"early" * 10)
        log_files.bound(log.fileno(), largest=100)
        assert path.stat().st_size == 50
        log.write(b"late" * 20)
        log_files.bound(log.fileno(), largest=100)
        log.write(b"new")
    assert path.read_bytes() == b"new"
    assert (tmp_path / "server.log.1").read_bytes() == b"early" * 10 + b"late" * 20


def test_what_is_no_file_is_left_alone():
    readable, writable = os.pipe()
    log_files.bound(writable, largest=-1)
    os.close(readable)
    os.close(writable)
