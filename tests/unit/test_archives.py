"""Packages that are read without being installed."""

from __future__ import annotations

import io
import struct
import subprocess
import tarfile
import zipfile
import zlib

import pytest

from training import archives, qt_resources
from training.archives import Package, PackageError, members

DEBIAN = Package("some-pictures", "debian")
PYTHON = Package("some-pictures", "python", "1.2")


def debian_package(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    parts = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", b"odd"),
        ("data.tar.xz", data.getvalue()),
    ]
    package = b"!<arch>\n"
    for name, content in parts:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
        package += header.encode() + content + b"\n" * (len(content) % 2)
    return package


def qt_resource(files: dict[str, bytes], version: int = 2) -> bytes:
    """A resource with one folder, `pictures`; the first file is deflated."""
    names = b""
    data = b""
    nodes = []
    offsets = {}
    for name in ("pictures", *files):
        offsets[name] = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    tail = b"\0" * (8 if version >= 2 else 0)
    nodes.append(struct.pack(">IHII", 0, 2, 1, 1) + tail)
    nodes.append(struct.pack(">IHII", offsets["pictures"], 2, len(files), 2) + tail)
    for i, (name, content) in enumerate(files.items()):
        flags = 0
        stored = content
        if i == 0:
            flags = qt_resources.DEFLATED
            stored = struct.pack(">I", len(content)) + zlib.compress(content)
        nodes.append(struct.pack(">IHHHI", offsets[name], flags, 0, 0, len(data)) + tail)
        data += struct.pack(">I", len(stored)) + stored
    tree = b"".join(nodes)
    start = 20
    header = struct.pack(
        ">4sIIII", b"qres", version, start, start + len(tree), start + len(tree) + len(data)
    )
    return header + tree + data + names


def test_files_of_a_debian_package(tmp_path):
    files = {"usr/a.jpg": b"aaa", "usr/b.jpg": b"bb", "usr/c.txt": b"c"}
    (tmp_path / "some-pictures_1.0-1_all.deb").write_bytes(debian_package(files))
    paths = {"usr/a.jpg", "usr/b.jpg", "usr/none.jpg"}
    assert dict(members(DEBIAN, paths, tmp_path)) == {"usr/a.jpg": b"aaa", "usr/b.jpg": b"bb"}


def test_files_of_a_wheel(tmp_path):
    with zipfile.ZipFile(tmp_path / "some_pictures-1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("data/a.png", b"aaa")
    paths = {"data/a.png", "data/none.png"}
    assert dict(members(PYTHON, paths, tmp_path)) == {"data/a.png": b"aaa"}


def test_an_installed_python_package_is_not_fetched(tmp_path):
    package = Package("numpy", "python", "0", "numpy")
    files = dict(members(package, {"numpy/__init__.py"}, tmp_path))
    assert b"numpy" in files["numpy/__init__.py"].lower()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("version", [1, 2])
def test_files_in_a_qt_resource(tmp_path, version):
    resource = qt_resource({"a.webp": b"a" * 400, "b.webp": b"bb"}, version)
    content = debian_package({"usr/all.rcc": resource})
    (tmp_path / "some-pictures_1.0-1_all.deb").write_bytes(content)
    paths = {"usr/all.rcc!/pictures/a.webp", "usr/all.rcc!/pictures/b.webp"}
    assert dict(members(DEBIAN, paths, tmp_path)) == {
        "usr/all.rcc!/pictures/a.webp": b"a" * 400,
        "usr/all.rcc!/pictures/b.webp": b"bb",
    }


def test_another_format_is_no_qt_resource():
    with pytest.raises(ValueError, match="qres"):
        list(qt_resources.files(b"PK\3\4" + b"\0" * 40))


@pytest.mark.parametrize("package", [DEBIAN, PYTHON])
def test_without_the_tools_an_error_names_the_file_and_its_place(tmp_path, monkeypatch, package):
    monkeypatch.setattr(archives.shutil, "which", lambda name: None)
    with pytest.raises(PackageError) as error:
        list(members(package, {"a"}, tmp_path))
    assert package.pattern in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_failed_download_reports_the_tools_reason(tmp_path, monkeypatch):
    outcome = subprocess.CompletedProcess([], 100, "", "W: first\nE: Unable to locate package\n")
    monkeypatch.setattr(archives.shutil, "which", lambda name: name)
    monkeypatch.setattr(archives.subprocess, "run", lambda *args, **options: outcome)
    with pytest.raises(PackageError, match="Unable to locate package"):
        list(members(DEBIAN, {"a"}, tmp_path))


def test_a_file_that_is_no_debian_package_is_an_error(tmp_path):
    (tmp_path / "some-pictures_1.0-1_all.deb").write_bytes(b"<html>not here</html>")
    with pytest.raises(PackageError, match="no Debian package"):
        list(members(DEBIAN, {"a"}, tmp_path))
