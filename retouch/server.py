"""A real tritonserver on loopback, from the nvidia-pytriton wheel: prepare, start, wait, stop, leave nothing behind.

The wheel's server (2.51) has known holes on open networks, so it listens on 127.0.0.1 only; production uses the
NGC container with the same model repository.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPOSITORY = Path(os.environ.get("RETOUCH_REPOSITORY", ROOT / "model_repository"))
RUNTIME = ROOT / ".runtime"
HOST = "127.0.0.1"
START_SECONDS = 120.0
# what is in the log when native code of tritonserver 2.51 ends while its stubs begin, which one start in hundreds was seen to
CRASHES = (b"Fatal Python error: Bus error", b"boost::interprocess::lock_exception")


class ServerError(RuntimeError):
    """The server cannot start or has stopped; the sentence says where to look."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """One tritonserver. Use as a context manager; `http`, `grpc` and `metrics` are ports, chosen free when 0.

    With a `profile`, models that have a configs/PROFILE.pbtxt are loaded by it and the others by their config.pbtxt.
    """

    repository: Path = REPOSITORY
    log: Path = RUNTIME / "server.log"
    http: int = 0
    grpc: int = 0
    metrics: int = 0
    profile: str = ""
    process: subprocess.Popen | None = None

    def __post_init__(self) -> None:
        self.http, self.grpc, self.metrics = (port or free_port() for port in (self.http, self.grpc, self.metrics))

    def __enter__(self) -> "Server":
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
        return f"retouch_{os.getpid()}_{self.grpc}_"

    @property
    def boards(self) -> str:
        """How the paths of the lanes' boards begin: the guard removes them with the shared memory."""
        return f"/dev/shm/{self.shm_prefix}board_"

    def start(self) -> None:
        binary = prepare() / "bin" / "tritonserver"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-S", "-m", "retouch.guard", self.shm_prefix, str(binary), *self.arguments()],
                stdin=subprocess.PIPE,  # closed by our end, whatever that is
                stdout=log,
                stderr=log,
                env={**environment(), "RETOUCH_BOARD": self.boards},
                cwd=ROOT,  # the stubs ignore PYTHONPATH, but find our package in the working directory
                start_new_session=True,  # Ctrl-C reaches us alone
            )

    def arguments(self) -> list[str]:
        known = profiles(self.repository)
        if self.profile not in ("", *known):
            raise ServerError(f"there is no profile {self.profile}; there are {', '.join(known) or 'none'}")
        return [
            f"--model-repository={self.repository}",
            *([f"--model-config-name={self.profile}"] if self.profile else []),
            f"--backend-directory={RUNTIME / 'backends'}",
            f"--cache-directory={RUNTIME / 'caches'}",
            "--model-control-mode=explicit",
            *(f"--load-model={name}" for name in models(self.repository, self.profile)),
            "--disable-auto-complete-config",
            "--strict-readiness=true",
            "--exit-timeout-secs=10",
            *(f"--{door}-address={HOST}" for door in ("http", "grpc", "metrics")),
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
                raise ServerError(f"the server did not start: {last_error(self.log)} (whole log: {self.log})")
            if time.monotonic() > deadline:
                raise ServerError(f"the server was not ready after {seconds:g} s (log: {self.log})")
            time.sleep(0.1)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.http}/v2/health/ready", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """End the server and its stubs; every process of its group and every shared memory region is gone after."""
        process, self.process = self.process, None
        if process is not None:
            with _uninterrupted():
                process.stdin.close()  # the guard does the rest
                process.wait()


def crashed(log: Path) -> bool:
    """Whether native code has ended a server, by its log."""
    return log.is_file() and any(words in log.read_bytes() for words in CRASHES)


def models(repository: Path, profile: str = "") -> list[str]:
    """What there is to load: everything with a config but the lanes that are not exported, or not for this profile.

    Triton would load a lane that lacks the profile by its config.pbtxt, on the CPU.
    """
    names = sorted(path.parent.name for path in repository.glob("*/config.pbtxt"))
    lanes = {path.parent.parent.name for path in repository.glob("denoiser_*/1/manifest.json")}
    if profile:
        lanes &= {path.parent.parent.name for path in repository.glob(f"denoiser_*/configs/{profile}.pbtxt")}
    return [name for name in names if not name.startswith("denoiser_") or name in lanes]


def profiles(repository: Path) -> list[str]:
    return sorted({path.stem for path in repository.glob("*/configs/*.pbtxt")})


def prepare() -> Path:
    """Lay out RUNTIME once (links into the wheel, the stub beside its backend); returns the wheel's server folder."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise ServerError("nvidia-pytriton is not installed; run `make setup`")
    wheel = Path(spec.origin).parent / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = wheel / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.is_file():
        raise ServerError(f"nvidia-pytriton has no stub for Python {version}; use Python 3.10, 3.11 or 3.12")
    wanted = {f"backends/python/{path.name}": path for path in (wheel / "backends" / "python").iterdir()}
    wanted["backends/python/triton_python_backend_stub"] = stub
    wanted["caches/local"] = wheel / "caches" / "local"
    for name, target in wanted.items():
        link = RUNTIME / name
        if not link.is_symlink() or os.readlink(link) != str(target):
            link.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mktemp(prefix=link.name, dir=RUNTIME))
            fresh.symlink_to(target)
            fresh.replace(link)  # in one move: another server may be reading
    return wheel


def environment() -> dict[str, str]:
    """The server's environment: this Python first on PATH for the stubs, and its library."""
    paths = {
        "PATH": Path(sys.prefix) / "bin",
        "LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR"),
    }
    env = {**os.environ, **{name: os.pathsep.join(_joined(str(path), name)) for name, path in paths.items()}}
    # ONNX Runtime's wheels report to their maker and leave a file in the temporary folder unless told not to
    return {**env, "ORT_DISABLE_TELEMETRY": "1"}


def last_error(log: Path) -> str:
    """The first line of a server log that tells of an error: the others follow from it."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    errors = [line for line in lines if "Failed to" in line or "rror:" in line]
    return (errors or lines or ["no log"])[0].split("] ", 1)[-1].strip()


def _joined(first: str, name: str) -> Iterator[str]:
    yield first
    if os.environ.get(name):
        yield os.environ[name]


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """A second Ctrl-C must not leave half a server; signals are handled by the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
