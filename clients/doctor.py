"""What a machine needs, looked at one by one, each with the way to mend it."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from retouch.server import REPOSITORY, RUNTIME, ServerError, free_port, prepare

MODELS = ("vl_parser", "connector", "vae_encoder", "vae_decoder", "denoiser_bf16")


def checks() -> Iterator[tuple[bool, str, str]]:
    """(good, what, advice) of every check."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield (3, 10) <= sys.version_info < (3, 13), f"Python {python}", "use 3.10, 3.11 or 3.12"
    advised = (("numpy", "the server's stubs need numpy < 2"), ("nvidia-pytriton", ""), ("onnxruntime", ""))
    for package, advice in advised:
        found = _version(package)
        good = found is not None and not (package == "numpy" and int(found.split(".")[0]) >= 2)
        yield good, f"{package} {found or 'missing'}", advice or "run `make setup`"
    library = Path(sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("INSTSONAME") or "libpython")
    yield (_loads(library), f"Python's shared library {library.name}",
           "install it (libpython3, python3-dev): stubs load it")
    try:
        yield bool(prepare()), "tritonserver and its stub", ""
    except ServerError as failure:
        yield False, "tritonserver and its stub", str(failure)
    free = shutil.disk_usage("/dev/shm").free // 2**20 if os.path.isdir("/dev/shm") else 0
    yield free >= 256, f"{free} MB of shared memory", "at least 256 MB; containers want --shm-size=1g"
    yield os.access(RUNTIME.parent, os.W_OK), "the checkout is writable", "the runtime folder lies in it"
    yield free_port() > 0, "a free port on 127.0.0.1", ""
    for model in MODELS:
        manifest = REPOSITORY / model / "1" / "manifest.json"
        yield manifest.is_file(), f"{model} is exported", "run `make export`"


def _loads(library: Path) -> bool:
    for name in (str(library), library.name):
        try:
            return bool(ctypes.CDLL(name))
        except OSError:
            continue
    return False


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
