"""The tritonserver that is started: of the wheel nvidia-pytriton, or of a container or another
folder that holds one."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from retouch.launcher.paths import IS_CHECKOUT
from retouch.launcher.start_failure import ServerError
from retouch.util import env
from retouch.util.extras import install_command

CONTAINER = Path("/opt/tritonserver")  # of NVIDIA's images
STUB = "triton_python_backend_stub"
LINKED = re.compile(rb"libpython3\.(\d+)\.so")  # in a stub: the Python that it embeds


@dataclass(frozen=True)
class Installation:
    """A folder with `bin`, `backends` and `caches`, and the stub of its Python backend."""

    folder: Path
    stub: Path

    @property
    def binary(self) -> Path:
        return self.folder / "bin" / "tritonserver"

    @property
    def python_backend(self) -> Path:
        return self.folder / "backends" / "python"

    @property
    def local_cache(self) -> Path:
        return self.folder / "caches" / "local"


def installed(container: Path = CONTAINER) -> Installation:
    """The tritonserver of RETOUCH_TRITON, else of the wheel, else of NVIDIA's container.

    ServerError when it is missing or its stub is for another Python."""
    if env.TRITON.get():
        return _in_folder(Path(env.TRITON.get()))
    spec = importlib.util.find_spec("pytriton")
    if spec is not None and spec.origin is not None:
        return _in_wheel(Path(spec.origin).parent / "tritonserver")
    if container.is_dir():
        return _in_folder(container)
    raise ServerError(
        "nvidia-pytriton is not installed; run "
        + ("`make setup`" if IS_CHECKOUT else install_command("serve"))
        + f", or set {env.TRITON.name} to the folder of a tritonserver"
    )


def _in_wheel(folder: Path) -> Installation:
    """The wheel has a stub for each of several Pythons."""
    stub = folder / "python_backend_stubs" / _python() / STUB
    if not stub.is_file():
        raise ServerError(
            f"nvidia-pytriton has no stub for Python {_python()}; use Python 3.10, 3.11 or 3.12"
        )
    return Installation(folder, stub)


def _in_folder(folder: Path) -> Installation:
    """An installation as in NVIDIA's images: one stub, in the folder of the Python backend."""
    installation = Installation(folder, folder / "backends" / "python" / STUB)
    for path in (installation.binary, installation.stub):
        if not path.is_file():
            raise ServerError(
                f"{env.TRITON.name} is {folder}, which has no {path.relative_to(folder)}; "
                f"it must be the folder of a tritonserver, such as {CONTAINER}"
            )
    minor = LINKED.search(installation.stub.read_bytes())
    if minor and int(minor[1]) != sys.version_info.minor:
        raise ServerError(
            f"the Python backend in {folder} is for Python 3.{int(minor[1])}, and this is "
            f"{_python()}; install Retouch for Python 3.{int(minor[1])}"
        )
    return installation


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
