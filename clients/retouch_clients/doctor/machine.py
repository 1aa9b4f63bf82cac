"""Checks of the machine: tritonserver, memory, disk and optional programs."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from retouch.launcher.paths import is_writable
from retouch.launcher.server import ROOT, RUNTIME, ServerError
from retouch.launcher.tritonserver import installed
from retouch.util.host_memory import available_bytes
from retouch_clients.doctor.check import Check, program_output

SHARED_MB = 256
MEMORY_MB = 1000  # with three lanes of the shipped checkpoint
OPEN_FILES = 1024
DISK_MB = 500
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def machine() -> Iterator[Check]:
    try:
        yield Check(bool(installed()), "tritonserver and its stub for this Python")
    except ServerError as failure:
        yield Check(False, "tritonserver and its stub for this Python", str(failure))
    shared = shutil.disk_usage("/dev/shm").free // 2**20 if os.path.isdir("/dev/shm") else 0
    yield Check(
        shared >= SHARED_MB,
        f"{shared} MB of shared memory",
        f"at least {SHARED_MB} MB are needed; start containers with --shm-size=1g",
    )
    available = available_bytes()
    memory = None if available is None else available >> 20
    yield Check(
        memory is None or memory >= MEMORY_MB,
        f"{'unknown' if memory is None else memory} MB of memory are free",
        f"the server needs about {MEMORY_MB} MB; stop other programs, or export fewer lanes",
    )
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield Check(
        files < 0 or files >= OPEN_FILES,
        f"{'any number of' if files < 0 else files} files may be open at a time",
        f"the server needs {OPEN_FILES}; run `ulimit -n {OPEN_FILES}`",
    )
    disk = shutil.disk_usage(ROOT).free // 2**20
    yield Check(
        disk >= DISK_MB,
        f"{disk} MB of disk space are free",
        f"exports and logs of the shipped checkpoint need {DISK_MB} MB; free some space",
    )
    yield Check(
        is_writable(RUNTIME),
        "the runtime folder is writable",
        "set RETOUCH_RUNTIME to another folder",
    )


def optional_programs() -> Iterator[Check]:
    docker = program_output("docker", "version", "--format", "{{.Server.Version}}").strip()
    installed = bool(shutil.which("docker"))
    yield Check(
        bool(docker),
        f"docker {docker}".strip(),
        "its daemon does not answer this user" if installed else "it is not installed",
        optional=True,
    )
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    yield Check(
        bool(browser),
        f"{Path(browser).name if browser else 'no browser'} for the web page's tests",
        "needed for these tests only; install chromium",
        optional=True,
    )
