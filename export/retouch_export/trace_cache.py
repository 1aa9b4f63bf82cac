"""Graphs that torch has traced, kept for the next export of the same network.

Tracing is most of an export's time and needs no weights: another checkpoint of the same
architecture, an adapter's lane or an export that is tried again finds its graphs here. An entry is
an ONNX file, packed by gzip, whose parameters have names, shapes and types alone. Entries that are
damaged are made again; the least recently used ones go when there are too many.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from retouch.util import env

FOLDER = env.GRAPHS.name
LIMIT = 256_000_000  # bytes of all entries
SUFFIX = ".onnx.gz"
# what reading an entry may raise
DAMAGED = (OSError, EOFError, zlib.error, DecodeError, ValueError, KeyError, TypeError)


def folder() -> Path | None:
    """Where entries are; None where they are switched off."""
    chosen = env.GRAPHS.get()
    if chosen == "0":
        return None
    if chosen:
        return Path(chosen).absolute()
    cache = env.CACHE_HOME.get()
    try:
        return (Path(cache) if cache else Path.home() / ".cache") / "retouch" / "graphs"
    except RuntimeError:  # a user without a home
        return None


def load(key: str) -> ir.Model | None:
    """The graph of that key; None where there is none, or none that can be read."""
    home = folder()
    if home is None:
        return None
    path = home / (key + SUFFIX)
    try:
        model = unpacked(path.read_bytes())
    except DAMAGED:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # used now
    return model


def store(key: str, entry: bytes) -> None:
    """Keep what `packed` has made, whole or not at all; a folder that cannot be written to keeps
    nothing."""
    home = folder()
    if home is None:
        return
    with contextlib.suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=home, suffix=".partial")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(entry)
            os.replace(partial, home / (key + SUFFIX))
        finally:
            Path(partial).unlink(missing_ok=True)
        _bound(home)


@contextlib.contextmanager
def alone(key: str) -> Iterator[None]:
    """One process at a time: who comes second to a graph finds it. Without locks, both trace it."""
    home = folder()
    if home is None:
        yield
        return
    lock = home / f"{key}.lock"
    descriptor = None
    with contextlib.suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if descriptor is not None:
            with contextlib.suppress(OSError):
                lock.unlink(missing_ok=True)
            os.close(descriptor)


def packed(model: ir.Model) -> bytes:
    """An entry of a graph whose parameters have no numbers."""
    proto = ir.to_proto(model)
    return gzip.compress(proto.SerializeToString(deterministic=True), compresslevel=4, mtime=0)


def unpacked(entry: bytes) -> ir.Model:
    """The graph again; an exception of DAMAGED."""
    proto = onnx.ModelProto.FromString(gzip.decompress(entry))
    if not proto.HasField("graph"):
        raise ValueError("nothing is in it")
    return ir.from_proto(proto)


def _bound(home: Path) -> None:
    """Remove the files that were used longest ago, until the others have at most LIMIT bytes."""
    entries = []
    for path in home.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another export has removed it
            entries.append((path.stat().st_mtime_ns, path.stat().st_size, path))
    size = 0
    for _, length, path in sorted(entries, reverse=True):
        size += length
        if size > LIMIT:
            path.unlink(missing_ok=True)
