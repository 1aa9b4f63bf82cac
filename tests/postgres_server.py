"""A PostgreSQL server for tests, run by another user than root, as which it does not run."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from retouch.launcher.server import HOST, free_port

USER = "nobody"
START_SECONDS = 60
# no fsync: the tests stop and kill the server, not the machine
SETTINGS = ("fsync=off", "max_connections=40", "shared_buffers=8MB", "jit=off")


def binaries() -> Path | None:
    """The folder of PostgreSQL's programs: of the newest version, or on PATH."""
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: int(path.parts[-3]) if path.parts[-3].isdigit() else 0,
    )
    found_on_path = shutil.which("initdb")
    return installed[-1].parent if installed else found_on_path and Path(found_on_path).parent


@dataclass
class Postgres:
    """A server that can be stopped and started again. `url` is of its database."""

    folder: Path
    programs: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://tester@{HOST}:{self.port}/postgres"

    def initialise(self) -> None:
        options = ["-D", self.folder / "data", "-U", "tester", "-A", "trust", "-N", "-E", "UTF8"]
        self._run("initdb", *options, "--locale=C")

    def start(self) -> None:
        settings = " ".join(f"-c {setting}" for setting in SETTINGS)
        sockets = f"-c listen_addresses={HOST} -c unix_socket_directories={self.folder}"
        address = f"-p {self.port} {sockets}"
        log = self.folder / "log"
        self._control("start", "-w", "-t", START_SECONDS, "-l", log, "-o", f"{address} {settings}")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` ends it as a crash does."""
        self._control("stop", "-m", mode, "-w", "-t", START_SECONDS)

    def _control(self, *arguments: object) -> None:
        self._run("pg_ctl", "-D", self.folder / "data", *arguments)

    def _run(self, program: str, *arguments: object) -> None:
        as_user = ["setpriv", "--reuid", USER, "--regid", _group(), "--clear-groups"]
        command = [*(as_user if os.geteuid() == 0 else []), self.programs / program, *arguments]
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would stay open as long as the server runs
            stderr=subprocess.DEVNULL,
            timeout=2 * START_SECONDS,
        )
        assert done.returncode == 0, f"{program} failed; see {self.folder}/log"


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """A running server whose files are in `folder`; skips the test where there is none."""
    programs = binaries()
    if not programs:
        pytest.skip("PostgreSQL is not installed (Debian's package postgresql)")
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("PostgreSQL does not run as root, and there is no setpriv")
    server = Postgres(folder, programs, free_port())
    if os.geteuid() == 0:
        shutil.chown(folder, USER, _group())
        for parent in folder.parents:  # pytest's folders are closed to others
            if parent == Path(parent.anchor) or os.stat(parent).st_mode & 0o001:
                break
            parent.chmod(parent.stat().st_mode | 0o011)
    server.initialise()
    server.start()
    try:
        yield server
    finally:
        with contextlib.suppress(AssertionError):
            server.stop()


def _group() -> str:
    return "nogroup" if Path("/etc/debian_version").exists() else "nobody"
