"""A real tritonserver, from the nvidia-pytriton wheel: check, stage, start, wait, drain, stop,
leave nothing behind.

The wheel's server (2.51) has known holes on open networks, so it listens on 127.0.0.1 unless a
proxy stands before it (SECURITY.md); production uses the NGC container with the same model
repository."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from retouch.launcher import preflight, secret, staging
from retouch.launcher.log_files import new_log
from retouch.launcher.paths import ROOT, RUNTIME, default_repository
from retouch.launcher.start_failure import ServerError, cause
from retouch.serving import drain
from retouch.util import env

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
EXIT_SECONDS = 5  # that tritonserver gives running requests when it stops
SETTLE_SECONDS = 0.3  # from the end of the last edit until its answer has left
# what is in the log when native code of tritonserver 2.51 ends while its stubs begin, which one
# start in hundreds was seen to
CRASHES = (b"Fatal Python error: Bus error", b"boost::interprocess::lock_exception")
# a proxy of the environment is for other machines
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """One tritonserver. Use as a context manager; `http`, `grpc` and `metrics` are ports, chosen
    free when 0.

    With a `profile`, models that have a configs/PROFILE.pbtxt are loaded by it and the others by
    their config.pbtxt. Without a `log` it has a new one in the runtime folder. A `host` beyond
    loopback wants `behind_proxy`."""

    repository: Path = REPOSITORY
    log: Path | None = None
    http: int = 0
    grpc: int = 0
    metrics: int = 0
    profile: str = ""
    host: str = HOST
    behind_proxy: bool = False
    process: subprocess.Popen | None = None
    secret: str = field(default="", repr=False)  # of this start

    def __post_init__(self) -> None:
        self.repository = Path(self.repository).absolute()
        self.log = new_log("server") if self.log is None else Path(self.log)
        self.http, self.grpc, self.metrics = (
            port or free_port() for port in (self.http, self.grpc, self.metrics)
        )
        self._token = secret.new_secret()

    def __enter__(self) -> Server:
        self.check()
        self.log.unlink(missing_ok=True)
        try:
            self._started()
        except ServerError:
            if not crashed(self.log):
                raise
            self._started()  # one in many starts: nothing is wrong with what it was started with
        return self

    def _started(self) -> None:
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
        """How the names of its shared memory begin; nobody can guess them."""
        return f"retouch_{os.getpid()}_{self._token[:12]}_"

    @property
    def boards(self) -> str:
        """How the paths of the lanes' boards begin: the guard removes them with the shared
        memory."""
        return f"/dev/shm/{self.shm_prefix}board_"

    @property
    def names(self) -> list[str]:
        return models(self.repository, self.profile)

    def check(self) -> None:
        """ServerError when a start cannot succeed, before anything is made."""
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
        preflight.check_gpu(self.repository, self.profile, self.names)

    def start(self) -> None:
        self.secret = self._token = secret.new_secret()
        staged = staging.stage(self.repository, self.names)
        try:
            self._spawn(staged)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise

    def _spawn(self, staged: Path) -> None:
        binary = staging.wheel() / "bin" / "tritonserver"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        kept = secret.keep(self.grpc, self.secret)
        duties = {
            "host": self.near.strip("[]"),
            "http": self.http,
            "secret": self.secret,
            "models": self.names,
            "boards": self.boards,
            "remove": [str(staged), str(kept)],
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
                stdin=subprocess.PIPE,  # closed by our end, whatever that is
                stdout=log,
                stderr=log,
                env={
                    **environment(),
                    env.BOARD.name: self.boards,
                    env.GUARD.name: json.dumps(duties),
                },
                # the stubs ignore PYTHONPATH, but find our package in the working directory
                cwd=ROOT,
                start_new_session=True,  # Ctrl-C reaches us alone
            )

    def arguments(self, staged: Path) -> list[str]:
        """Of tritonserver; `staged` is the folder that staging.stage has made."""
        return [
            f"--model-repository={staged / 'models'}",
            *([f"--model-config-name={self.profile}"] if self.profile else []),
            f"--backend-directory={staged / 'backends'}",
            f"--cache-directory={staged / 'caches'}",
            # what is staged is loaded, and nobody can load or unload anything
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

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Return when every model is ready; ServerError when the server ends or the time does."""
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
        try:
            with _direct.open(
                f"http://{self.near}:{self.http}/v2/health/ready", timeout=5
            ) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    @property
    def near(self) -> str:
        """The address by which this machine reaches it."""
        return (
            HOST
            if self.host in preflight.WILDCARDS
            else f"[{self.host}]"
            if ":" in self.host
            else self.host
        )

    def drain(self, seconds: float) -> bool:
        """Take no new edits and wait for the running ones; whether all have ended in this time."""
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
        """End the server and its stubs; every process of its group and every shared memory region
        is gone after."""
        process, self.process = self.process, None
        if process is not None:
            with _uninterrupted():
                process.stdin.close()  # the guard does the rest
                process.wait()


def crashed(log: Path) -> bool:
    """Whether native code has ended a server, by its log."""
    return log.is_file() and any(words in log.read_bytes() for words in CRASHES)


def models(repository: Path, profile: str = "") -> list[str]:
    """What there is to load: everything with a config but the lanes that are not exported, or not
    for this profile.

    Triton would load a lane that lacks the profile by its config.pbtxt, on the CPU.
    """
    names = sorted(path.parent.name for path in repository.glob("*/config.pbtxt"))
    lanes = {path.parent.parent.name for path in repository.glob("denoiser_*/1/manifest.json")}
    if profile:
        lanes &= {
            path.parent.parent.name
            for path in repository.glob(f"denoiser_*/configs/{profile}.pbtxt")
        }
    return [name for name in names if not name.startswith("denoiser_") or name in lanes]


def profiles(repository: Path) -> list[str]:
    return sorted({path.stem for path in repository.glob("*/configs/*.pbtxt")})


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


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """A second Ctrl-C must not leave half a server; signals are handled by the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
