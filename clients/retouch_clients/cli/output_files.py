"""Output files: the format follows the name, and files are checked before an edit is sent.

Existing files are overwritten only with `force`."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from pathlib import Path

import click

from retouch.api.answer_format import parse_format

SUFFIXES = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
}  # format by file suffix
NAMES = "the name must end in .png, .jpg, .jpeg or .webp"
STDOUT = "-"
MAX_NAME = 255  # bytes, on every file system that Linux and macOS use


class OutputError(click.FileError):
    """A file that cannot be written. `errno` is the system's error number, 0 for our own checks."""

    def __init__(self, path: Path, hint: str | None, errno: int = 0):
        super().__init__(str(path), hint)
        self.errno = errno

    def format_message(self) -> str:
        return f"cannot write {self.ui_filename}: {self.message}"


class OutputExists(OutputError):
    """A file that exists already, perhaps the result of another edit."""

    def __init__(self, path: Path):
        super().__init__(
            path, "it exists already; add --force to overwrite it, or choose another name"
        )


def format_of(path: Path | str, format_: str | None = None) -> str:
    """The FORMAT of an output file, from its name and `--format`.

    A name without a suffix needs a `--format`. Standard output defaults to png.
    ValueError if name and format disagree, or neither names a format.
    """
    if str(path) == STDOUT:
        return format_ or "png"
    suffix = Path(path).suffix.lower()
    by_name = SUFFIXES.get(suffix, "")
    if not by_name and (suffix or not format_):
        raise ValueError(f"{Path(path).name} has no supported image suffix; {NAMES}")
    if format_ and by_name and parse_format(format_).name != by_name:
        raise ValueError(f"{Path(path).name} is a {by_name} file name, but --format is {format_}")
    return format_ or by_name


def check_output(path: Path, force: bool = False) -> None:
    """OutputError if `path` cannot be written now. Leaves the disk unchanged."""
    size = len(os.fsencode(path.name))
    if size > MAX_NAME:
        raise OutputError(path, f"its name has {size} bytes; at most {MAX_NAME} are allowed")
    made: list[Path] = []
    try:
        if os.path.lexists(path):
            if not force:
                raise OutputExists(path)
            if not path.is_file():
                raise OutputError(path, "it exists and is not a regular file")
        made = _make_folder(path.parent)
        partial = _partial(path)
        partial.touch(exist_ok=False)
        partial.unlink()
    except OSError as failure:
        raise _error(path, failure) from None
    finally:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def write_output(path: Path, data: bytes, force: bool = False) -> bool:
    """Write the file atomically, and its folder if missing. Returns whether the folder was made.

    OutputError."""
    partial = _partial(path)
    try:
        made = _make_folder(path.parent)
        try:
            partial.write_bytes(data)
            _rename(partial, path, force)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as failure:
        raise _error(path, failure) from None
    return bool(made)


def replace_file(path: Path, data: bytes) -> None:
    """Write the file atomically, replacing an older one, and its folder if missing. OutputError."""
    write_output(path, data, force=True)


def check_stdout() -> None:
    """click.UsageError if standard output is closed or a terminal."""
    if sys.stdout is None:
        raise click.UsageError("standard output is closed, and -o - writes the image to it")
    if sys.stdout.isatty():
        raise click.UsageError(
            "-o - would write the image to the terminal; redirect it to a file or program"
        )


def write_stdout(data: bytes) -> None:
    """Write the bytes to standard output; OutputError."""
    stream = sys.stdout.buffer
    try:
        stream.write(data)
        stream.flush()
    except OSError as failure:
        # Python flushes again at exit and would report a second error
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(Path("standard output"), failure.strerror, failure.errno or 0) from None


def _rename(partial: Path, path: Path, force: bool) -> None:
    if force:
        partial.replace(path)
        return
    try:
        os.link(partial, path)  # unlike a rename, it fails if the name was taken meanwhile
    except FileExistsError:
        raise OutputExists(path) from None
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise OutputExists(path) from None
        partial.replace(path)


def _make_folder(folder: Path) -> list[Path]:
    """Make the folder and its parents. Returns the folders made, innermost first."""
    missing = []
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = folder.parent
    made: list[Path] = []
    try:
        for path in reversed(missing):
            path.mkdir()
            made.insert(0, path)
    except FileExistsError:
        missing[0].mkdir(parents=True, exist_ok=True)  # another process is making it too
    except OSError:
        for path in made:
            path.rmdir()
        raise
    return made


def _partial(path: Path) -> Path:
    """A temporary name beside the file, short as the file's own name may have maximal length."""
    return path.with_name(f".{secrets.token_hex(4)}.partial")


def _error(path: Path, failure: OSError) -> OutputError:
    return OutputError(path, failure.strerror, failure.errno or 0)
