"""Files inside Qt's binary resources (.rcc), in which some programs keep their pictures."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

MAGIC = b"qres"
HEADER = struct.Struct(">4sIIII")  # magic, version, offsets of the tree, the data and the names
DIRECTORY = 2  # flags of a node
DEFLATED = 1
ZSTANDARD = 4


def files(resource: bytes) -> Iterator[tuple[str, bytes]]:
    """Path and content of every file; raises ValueError for another format."""
    if resource[:4] != MAGIC:
        raise ValueError("no Qt resource: the file must begin with 'qres'")
    _, version, tree, data, names = HEADER.unpack_from(resource)
    node_size = 14 if version < 2 else 22

    def walk(index: int, folder: str) -> Iterator[tuple[str, bytes]]:
        position = tree + index * node_size
        name_offset, flags = struct.unpack_from(">IH", resource, position)
        path = f"{folder}/{_name(resource, names + name_offset)}" if index else ""
        if flags & DIRECTORY:
            count, first = struct.unpack_from(">II", resource, position + 6)
            for child in range(first, first + count):
                yield from walk(child, path)
        else:
            (offset,) = struct.unpack_from(">I", resource, position + 10)
            yield path, _content(resource, data + offset, flags)

    yield from walk(0, "")


def _name(resource: bytes, position: int) -> str:
    (length,) = struct.unpack_from(">H", resource, position)
    start = position + 6  # a length of two bytes and a hash of four
    return resource[start : start + 2 * length].decode("utf-16-be")


def _content(resource: bytes, position: int, flags: int) -> bytes:
    (length,) = struct.unpack_from(">I", resource, position)
    stored = resource[position + 4 : position + 4 + length]
    if flags & ZSTANDARD:
        raise ValueError("this Qt resource is compressed with Zstandard; only zlib is supported")
    if flags & DEFLATED:
        return zlib.decompress(stored[4:])  # after the plain size
    return stored
