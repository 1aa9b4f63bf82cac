"""One tritonserver of the nvidia-pytriton wheel: its start, drain and stop.

The wheel's server (2.51) has known security holes, so it listens on 127.0.0.1 unless a proxy stands
in front of it (SECURITY.md). Production uses the NGC container with the same model repository."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path

from retouch.artifacts.adapter_folder import adapter_folder
from retouch.launcher import health, preflight, secret, staging
from retouch.launcher.lane_checks import leave_out_lanes
from retouch.launcher.log_files import new_log
from retouch.launcher.part_checks import check_host_memory, check_parts
from retouch.launcher.paths import ROOT, RUNTIME, default_repository
from retouch.launcher.placements import Placement, placements
from retouch.launcher.repository import models, profiles, without
from retouch.launcher.signals import uninterrupted
from retouch.launcher.start_failure import ServerError, cause
from retouch.launcher.tritonserver import installed
from retouch.serving import drain
from retouch.util import env
from retouch.util.gpu_machine import gpu_machine
from retouch.util.host_memory import available_bytes

__all__ = [
    "HOST",
    "REPOSITORY",
    "ROOT",
    "RUNTIME",
    "Server",
    "ServerError",
    "free_port",
    "models",
    "profiles",
]

REPOSITORY = default_repository()
HOST = "127.0.0.1"
START_SECONDS = 120.0
# the same for models by another runner than onnx: gigabytes are read, and torch compiles
LONG_START_SECONDS = 1800.0
EXIT_SECONDS = 5  # running requests may take so long when tritonserver stops
SETTLE_SECONDS = 0.3  # from the end of the last edit until its answer is sent
# in the log after native code of tritonserver 2.51 has crashed while its stubs start, as one start
# in hundreds does
CRASHES = (b"Fatal Python error: Bus error", b"boost::interprocess::lock_exception")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """One tritonserver, as a context manager. `http`, `grpc` and `metrics` are ports; 0 picks a
    free one.

    With a `profile`, a model is loaded by configs/PROFILE.pbtxt if it has one, otherwise by its
    config.pbtxt. Without a `log`, a new one is made in the runtime folder. A `host` beyond loopback
    needs `behind_proxy`."""

    repository: Path = REPOSITORY
    log: Path = field(default_factory=lambda: new_log("server"))
    http: int = 0
    grpc: int = 0
    metrics: int = 0
    profile: str = ""
    host: str = HOST
    behind_proxy: bool = False
    process: subprocess.Popen | None = None
    secret: str = field(default="", repr=False)  # of this start
    left_out: set[str] = field(default_factory=set)  # denoisers that cannot run here, by `check`

    def __post_init__(self) -> None:
        self.repository = Path(self.repository).absolute()
        self.log = Path(self.log)
        self.http = self.http or free_port()
        self.grpc = self.grpc or free_port()
        self.metrics = self.metrics or free_port()
        self._token = secret.new_secret()

    def __enter__(self) -> Server:
        self.check()
        self.log.unlink(missing_ok=True)
        try:
            self._start_until_ready()
        except ServerError:
            if not crashed(self.log):
                raise
            self._start_until_ready()  # once more: the crash does not depend on the arguments
        return self

    def _start_until_ready(self) -> None:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def shm_prefix(self) -> str:
        """Prefix of the names of the server's shared memory; it cannot be guessed."""
        return f"retouch_{os.getpid()}_{self._token[:12]}_"

    @property
    def boards(self) -> str:
        """Prefix of the paths of the load reports, which the supervisor removes with the shared
        memory."""
        return f"/dev/shm/{self.shm_prefix}board_"

    @property
    def names(self) -> list[str]:
        return without(self.repository, models(self.repository, self.profile), self.left_out)

    @property
    def parts(self) -> list[Placement]:
        return placements(self.repository, self.profile, self.names)

    @property
    def _may_use_gpu(self) -> bool:
        return any(part.may_use_gpu for part in self.parts)

    def check(self) -> None:
        """ServerError when a start cannot succeed, before any file is made. Lanes that cannot run
        are left out."""
        known = profiles(self.repository)
        if self.profile not in ("", *known):
            raise ServerError(
                f"there is no profile {self.profile}; there are {', '.join(known) or 'none'}"
            )
        if not self.names:
            raise ServerError(
                f"the folder {self.repository} holds no models; name a model repository"
            )
        preflight.check_host(self.host, self.behind_proxy)
        preflight.check_ports(
            self.host, {"http": self.http, "grpc": self.grpc, "metrics": self.metrics}
        )
        preflight.raise_open_files()
        preflight.check_gpu(self.parts, self.profile)
        if self._may_use_gpu:
            machine = gpu_machine()
            self.left_out = leave_out_lanes(self.repository, self.profile, self.names, machine)
            check_parts(self.parts, machine)
        check_host_memory(self.parts, available_bytes())

    def start(self) -> None:
        self.secret = self._token = secret.new_secret()
        staged = staging.stage(self.repository, self.names)
        try:
            self._spawn(staged)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise

    def _spawn(self, staged: Path) -> None:
        binary = installed().binary
        self.log.parent.mkdir(parents=True, exist_ok=True)
        secret_file = secret.keep(self.grpc, self.secret)
        duties = {
            "host": self.local_host.strip("[]"),
            "http": self.http,
            "secret": self.secret,
            "models": self.names,
            "boards": self.boards,
            "remove": [str(staged), str(secret_file)],
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-S",
                    "-m",
                    "retouch.launcher.supervisor",
                    self.shm_prefix,
                    str(binary),
                    *self.arguments(staged),
                ],
                stdin=subprocess.PIPE,  # closed when this process ends, however it ends
                stdout=log,
                stderr=log,
                env={
                    **environment(),
                    env.BOARD.name: self.boards,
                    env.ADAPTERS.name: str(adapter_folder(self.repository)),
                    env.GUARD.name: json.dumps(duties),
                },
                # stubs ignore PYTHONPATH, but find the package in the working directory
                cwd=ROOT,
                start_new_session=True,  # Ctrl-C reaches this process only
            )

    def arguments(self, staged: Path) -> list[str]:
        """Arguments of tritonserver; `staged` is the folder that staging.stage has made."""
        return [
            f"--model-repository={staged / 'models'}",
            *([f"--model-config-name={self.profile}"] if self.profile else []),
            f"--backend-directory={staged / 'backends'}",
            f"--cache-directory={staged / 'caches'}",
            # all staged models are loaded, and no request can load or unload one
            "--model-control-mode=none",
            "--disable-auto-complete-config",
            "--strict-readiness=true",
            f"--exit-timeout-secs={EXIT_SECONDS}",
            *(f"--{protocol}-address={self.host}" for protocol in ("http", "grpc", "metrics")),
            f"--http-port={self.http}",
            f"--grpc-port={self.grpc}",
            f"--metrics-port={self.metrics}",
            f"--allow-gpu-metrics={str(Path('/dev/nvidiactl').exists()).lower()}",
            "--log-info=true",
            f"--backend-config=python,shm-region-prefix-name={self.shm_prefix}",
            "--backend-config=python,stub-timeout-seconds=120",
        ]

    def wait_ready(self, seconds: float | None = None) -> None:
        """Return when every model is ready; ServerError when the server ends or time runs out."""
        if seconds is None:
            seconds = LONG_START_SECONDS if self._may_use_gpu else START_SECONDS
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if self.process is None or self.process.poll() is not None:
                raise ServerError(
                    f"the server did not start: {cause(self.log)} (whole log: {self.log})"
                )
            if time.monotonic() > deadline:
                raise ServerError(f"the server was not ready after {seconds:g} s (log: {self.log})")
            time.sleep(0.1)

    def is_ready(self) -> bool:
        return health.is_ready(self.local_host, self.http)

    @property
    def local_host(self) -> str:
        """The host of a URL by which this machine reaches the server."""
        if self.host in preflight.WILDCARDS:
            return HOST
        return f"[{self.host}]" if ":" in self.host else self.host

    def drain(self, seconds: float) -> bool:
        """Refuse new edits and wait for the running ones; whether all have ended in time."""
        deadline = time.monotonic() + seconds
        drain.begin(self.boards)
        while (
            self.process is not None
            and self.process.poll() is None
            and not drain.is_idle(self.boards)
        ):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        time.sleep(SETTLE_SECONDS)
        return True

    def stop(self) -> None:
        """End the server. No process of its group and no shared memory of it is left."""
        process = self.process
        self.process = None
        if process is not None:
            with uninterrupted():
                process.communicate()  # closes its input; the supervisor does the rest


def crashed(log: Path) -> bool:
    """Whether a server's native code has crashed, by its log."""
    return log.is_file() and any(message in log.read_bytes() for message in CRASHES)


def environment() -> dict[str, str]:
    """The server's environment: this Python first on PATH for the stubs, and its library."""
    paths = {
        env.PATH: str(Path(sys.prefix) / "bin"),
        env.LIBRARIES: sysconfig.get_config_var("LIBDIR"),
    }
    changes = {
        variable.name: os.pathsep.join(filter(None, (first, variable.get())))
        for variable, first in paths.items()
    }
    child = env.of_child({**changes, env.ORT_TELEMETRY.name: env.ORT_TELEMETRY.default})
    # stubs read paths by the locale's encoding, which may be ASCII alone
    if not any("utf" in child.get(name, "").lower() for name in ("LC_ALL", "LC_CTYPE", "LANG")):
        child[env.LOCALE.name] = "C.UTF-8"
    return child
