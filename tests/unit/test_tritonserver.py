"""Which tritonserver is started: of a folder, the wheel, or NVIDIA's container."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from retouch.launcher import tritonserver
from retouch.launcher.start_failure import ServerError
from retouch.launcher.tritonserver import STUB, installed

MINOR = sys.version_info.minor


def container(folder, minor=MINOR):
    """The files of an image that Retouch starts, with a stub for Python 3.`minor`."""
    for name in ("bin/tritonserver", f"backends/python/{STUB}", "caches/local/cache.so"):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"\x7fELF libpython3.%d.so.1.0\0" % minor)
    return folder


@pytest.fixture
def without_wheel(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        tritonserver.importlib.util,
        "find_spec",
        lambda name: None if name == "pytriton" else find_spec(name),
    )


def test_the_wheel_is_the_default(tmp_path):
    assert "pytriton" in str(installed(container(tmp_path)).binary)


def test_a_folder_is_before_the_wheel(tmp_path, monkeypatch):
    monkeypatch.setenv("RETOUCH_TRITON", str(container(tmp_path)))
    installation = installed()
    assert installation.binary == tmp_path / "bin" / "tritonserver"
    assert installation.stub == tmp_path / "backends" / "python" / STUB
    assert installation.local_cache.is_dir()


def test_a_container_needs_no_wheel(tmp_path, without_wheel):
    assert installed(container(tmp_path)).folder == tmp_path


def test_nothing_is_installed(tmp_path, without_wheel):
    with pytest.raises(ServerError, match="nvidia-pytriton is not installed.*RETOUCH_TRITON"):
        installed(tmp_path / "none")


def test_a_stub_for_another_python(tmp_path, monkeypatch):
    monkeypatch.setenv("RETOUCH_TRITON", str(container(tmp_path, MINOR + 1)))
    with pytest.raises(ServerError, match=rf"for Python 3\.{MINOR + 1}, and this is 3\.{MINOR}"):
        installed()


@pytest.mark.parametrize("missing", ("bin/tritonserver", f"backends/python/{STUB}"))
def test_a_folder_without_a_server(tmp_path, monkeypatch, missing):
    (container(tmp_path) / missing).unlink()
    monkeypatch.setenv("RETOUCH_TRITON", str(tmp_path))
    with pytest.raises(ServerError, match=f"has no {missing}; it must be the folder of a trit"):
        installed()
