"""What a machine needs, looked at one by one, each with the way to mend it."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from retouch.artifacts.manifest import ArtifactError, read
from retouch.client import Retouch
from retouch.launcher.paths import IS_CHECKOUT, is_writable
from retouch.launcher.server import HOST, REPOSITORY, ROOT, RUNTIME, ServerError, models
from retouch.launcher.staging import wheel
from retouch.util.extras import install_command, missing
from retouch_clients.addresses.server_url import protocol_hint

PORTS = {"HTTP": 8000, "gRPC": 8001, "metrics": 8002}
OPEN_FILES = 1024
DISK_MB = 500
PROGRAM_SECONDS = 10.0
SHARED_MB = 256
MEMORY_MB = 1000  # with three lanes of the shipped checkpoint
EXPORT = "run `make export`" if IS_CHECKOUT else "run `retouch export`"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. Without what is `optional`, the server and the client work all
    the same."""

    good: bool
    what: str
    advice: str = ""
    optional: bool = False


def checks(url: str, http: bool = False) -> Iterator[Check]:
    """Everything; `url` is where a server may run."""
    yield from python()
    if IS_CHECKOUT:
        yield from packages(ROOT / "requirements.txt")
    else:
        yield from installed_extras()
    yield from numpy_version()
    yield from machine()
    yield from artifacts(REPOSITORY)
    yield from server(url, http)
    yield from gpu()
    yield from extras()


def python() -> Iterator[Check]:
    found = ".".join(map(str, sys.version_info[:3]))
    yield Check((3, 10) <= sys.version_info < (3, 13), f"Python {found}", "use 3.10, 3.11 or 3.12")
    library = Path(
        sysconfig.get_config_var("LIBDIR") or "",
        sysconfig.get_config_var("INSTSONAME") or "libpython",
    )
    yield Check(
        _loads(library),
        f"Python's shared library {library.name}",
        "install it (libpython3, python3-dev): the server's stubs load it",
    )


def packages(pins: Path) -> Iterator[Check]:
    """Whether the packages of a requirements file have the versions that it pins."""
    pinned = dict(pins_of(pins))
    installed = {name: _version(name) for name in pinned}
    strange = [
        f"{name} {installed[name] or 'is missing'}, pinned {pin}"
        for name, pin in pinned.items()
        if not _same(installed[name], pin)
    ]
    yield Check(
        not strange,
        f"{len(pinned) - len(strange)} of {len(pinned)} packages are as {pins.name} pins them",
        f"run `make setup` ({'; '.join(strange[:5])}{'; …' if len(strange) > 5 else ''})",
    )


def pins_of(path: Path) -> Iterator[tuple[str, str]]:
    """Name and version of each package that a requirements file pins for this Python and
    machine."""
    for line in path.read_text().splitlines():
        pin = re.match(r"([\w.-]+)==([^\s;]+)\s*(?:;(.*))?", line)
        if pin and (not pin[3] or _applies(pin[3])):
            yield pin[1], pin[2]


def _applies(marker: str) -> bool:
    try:
        from packaging.markers import Marker
    except ModuleNotFoundError:
        return True
    return Marker(marker.strip()).evaluate()


def installed_extras() -> Iterator[Check]:
    """The extras of an installed wheel."""
    for extra in ("serve", "export", "openai", "web"):
        modules = missing(extra)
        yield Check(
            not modules,
            f"extra {extra}" if not modules else f"extra {extra} lacks {', '.join(modules)}",
            f"run {install_command(extra)}",
            optional=True,
        )


def numpy_version() -> Iterator[Check]:
    numpy = _version("numpy")
    yield Check(
        bool(numpy) and int(numpy.split(".")[0]) < 2,
        f"numpy {numpy or 'is missing'}, below 2",
        "the server's stubs need numpy < 2; run `make setup`",
    )


def machine() -> Iterator[Check]:
    try:
        yield Check(bool(wheel()), "tritonserver and its stub for this Python")
    except ServerError as failure:
        yield Check(False, "tritonserver and its stub for this Python", str(failure))
    shared = shutil.disk_usage("/dev/shm").free // 2**20 if os.path.isdir("/dev/shm") else 0
    yield Check(
        shared >= SHARED_MB,
        f"{shared} MB of shared memory",
        f"at least {SHARED_MB} MB are needed; containers want --shm-size=1g",
    )
    memory = _available_mb()
    yield Check(
        memory is None or memory >= MEMORY_MB,
        f"{'unknown' if memory is None else memory} MB of memory are free",
        f"the server wants about {MEMORY_MB} MB; end something, or export fewer lanes",
    )
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield Check(
        files < 0 or files >= OPEN_FILES,
        f"{'any number of' if files < 0 else files} files may be open at a time",
        f"the server wants {OPEN_FILES}; run `ulimit -n {OPEN_FILES}`",
    )
    disk = shutil.disk_usage(ROOT).free // 2**20
    yield Check(
        disk >= DISK_MB,
        f"{disk} MB of disk space are free",
        f"exports and logs want {DISK_MB} MB for the shipped checkpoint; make room",
    )
    yield Check(
        is_writable(RUNTIME),
        "the runtime folder is writable",
        "name another one by RETOUCH_RUNTIME",
    )


def artifacts(repository: Path) -> Iterator[Check]:
    """What is exported, by the manifests; their files' hashes are the runners' business."""
    parts = sorted(
        path.parent.name
        for path in repository.glob("*/config.pbtxt")
        if not path.parent.name.startswith(("edit", "preprocess", "postprocess", "denoiser_"))
    )
    for model in (*parts, "denoiser_bf16"):
        yield _artifact(repository / model / "1", f"{model} is exported", EXPORT)
    for lane in ("fp8", "fp4"):
        yield _artifact(
            repository / f"denoiser_{lane}" / "1",
            f"lane {lane} is exported",
            f"{EXPORT} to make it; without it the server has fewer lanes",
            optional=True,
        )


def server(url: str, http: bool) -> Iterator[Check]:
    """The running one; where none runs, whether one could have its usual ports."""
    client = Retouch(url, http)
    if client.ready():
        loaded = set(client.lanes())
        exported = _exported_lanes()
        yield Check(True, f"a server is ready at {url}")
        yield Check(
            exported <= loaded,
            f"it has the lanes {', '.join(client.lanes())}",
            f"{', '.join(sorted(exported - loaded))} is exported here but not loaded; start the server again",
            optional=True,
        )
        return
    yield Check(
        False,
        f"no server is ready at {url}",
        protocol_hint(client.url, http) or "start one with `retouch serve`",
        optional=True,
    )
    for door, port in PORTS.items():
        yield Check(
            _free(port),
            f"port {port} of {HOST} is free for {door}",
            f"another program has it; `retouch serve --{door.lower()}-port 0` takes another",
            optional=True,
        )


def gpu() -> Iterator[Check]:
    """What profiles hopper and blackwell need; the cpu profile needs none of it."""
    driver = _output(
        "nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"
    ).splitlines()
    yield Check(
        bool(driver),
        f"GPU {'; '.join(driver)}" if driver else "no NVIDIA GPU",
        "the cpu profile needs none; hopper and blackwell need one that `nvidia-smi` lists",
        optional=True,
    )
    yield Check(
        _loads(Path("libcuda.so.1")),
        "NVIDIA's driver (libcuda.so.1)",
        "only a GPU needs it; install the driver, and start containers with --gpus all",
        optional=True,
    )
    tensorrt = _version("tensorrt") or _version("tensorrt_cu12") or _version("tensorrt-cu12")
    yield Check(
        bool(tensorrt) or _loads(Path("libnvinfer.so.10")),
        f"TensorRT {tensorrt or ''}".strip(),
        "only plans for a GPU need it; the cpu profile runs ONNX",
        optional=True,
    )


def extras() -> Iterator[Check]:
    docker = _output("docker", "version", "--format", "{{.Server.Version}}").strip()
    yield Check(
        bool(docker),
        f"docker {docker}".strip(),
        "it is not installed"
        if not shutil.which("docker")
        else "its daemon does not answer this user",
        optional=True,
    )
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    yield Check(
        bool(browser),
        f"{Path(browser).name if browser else 'no browser'} for the web page's tests",
        "nothing else needs one; install chromium",
        optional=True,
    )


# -- one thing each --------------------------------------------------------------------------------


def _artifact(folder: Path, what: str, advice: str, optional: bool = False) -> Check:
    try:
        manifest = read(folder)
    except ArtifactError as failure:
        return Check(False, what, f"{advice} ({failure})", optional)
    lacking = [name for name in manifest.files if not (folder / name).is_file()]
    return Check(not lacking, what, f"{advice} (it lacks {', '.join(lacking)})", optional)


def _output(*command: str) -> str:
    """A program's standard output; empty where it is missing, fails or does not end."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PROGRAM_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout


def _exported_lanes() -> set[str]:
    return {
        name.removeprefix("denoiser_")
        for name in models(REPOSITORY)
        if name.startswith("denoiser_")
    }


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _available_mb() -> int | None:
    """What programs could still take; None where nobody says."""
    try:
        found = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    except OSError:
        return None
    return int(found[1]) // 1024 if found else None


def _loads(library: Path) -> bool:
    for name in (str(library), library.name):
        try:
            return bool(ctypes.CDLL(name))
        except OSError:
            continue
    return False


def _same(found: str | None, pin: str) -> bool:
    return (
        found is not None and found.partition("+")[0] == pin.partition("+")[0]
    )  # 2.13.0+cpu is 2.13.0


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
