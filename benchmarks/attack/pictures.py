"""Picture files and texts that are damaged as real programs damage them."""

from __future__ import annotations

import base64
import random
import struct
import zlib

import numpy as np

from retouch.imaging import images

PHOTO_SIDES = (48, 100, 128, 190)
TEXTS = (
    "make the red circle blue",
    "",
    " \n\t",
    "\x00",
    "red \x00 blue",
    "ⓜⓐⓚⓔ it 🔴",
    "\u202eeulb ti ekam",
    "a" * 2001,
    "x " * 40_000,
    "<script>alert(1)</script>",
    "%s%n{0}{}${jndi:ldap}",
    "../../../etc/passwd",
)


def picture(rng: random.Random) -> bytes:
    """A good photo of random size and format."""
    height = rng.choice(PHOTO_SIDES)
    width = rng.choice(PHOTO_SIDES)
    pixels = np.random.default_rng(rng.randrange(2**32)).integers(
        0, 256, (height, width, 3), np.uint8
    )
    return images.encode(pixels, rng.choice(("png", "jpeg", "webp")))


def broken_picture(rng: random.Random) -> bytes:
    """A photo that is cut, spliced, altered, or whose header is wrong."""
    return rng.choice(BREAKS)(rng, picture(rng))


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _flip(rng: random.Random, data: bytes) -> bytes:
    bent = bytearray(data)
    for _ in range(rng.choice((1, 4, 64))):
        bent[rng.randrange(len(bent))] ^= 1 << rng.randrange(8)
    return bytes(bent)


def _splice(rng: random.Random, data: bytes) -> bytes:
    other = picture(rng)
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def _claim_size(rng: random.Random, _: bytes) -> bytes:
    width = rng.choice((0, 1, 15, 8193, 70_000, 2**31 - 1))
    height = rng.choice((0, 1, 15, 8193, 70_000, 2**31 - 1))
    header = struct.pack(">IIBBBBB", width, height, 8, rng.choice((0, 2, 3, 6)), 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(64))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _add_chunk(rng: random.Random, data: bytes) -> bytes:
    """A PNG with one more chunk, of random kind and body."""
    if not data.startswith(b"\x89PNG"):
        return data
    kind = rng.choice((b"iCCP", b"tRNS", b"gAMA", b"cHRM", b"eXIf", b"zTXt", b"acTL", b"pHYs"))
    body = rng.randbytes(rng.choice((0, 1, 7, 32, 5000)))
    return data[:33] + _chunk(kind, body) + data[33:]


def _wrap(rng: random.Random, data: bytes) -> bytes:
    text = base64.b64encode(data)
    return rng.choice((text, text[:-3], b"data:image/png;base64," + text, text.replace(b"A", b"*")))


def _noise(rng: random.Random, _: bytes) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 12, 1000, 100_000)))


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


BREAKS = (_cut, _flip, _splice, _claim_size, _add_chunk, _wrap, _noise)
