"""ICC profiles of RGB colour spaces, made from primaries and a curve."""

from __future__ import annotations

import functools
import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)  # XYZ white of the profile connection space
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # IEC 61966-2-1, as ICC's type 3
VERSION = 0x02400000
NAME = b"RGB"
COPYRIGHT = b"CC0"


@functools.lru_cache(maxsize=32)
def of(primaries: tuple, gamma: float) -> bytes | None:
    """A matrix profile; None when the numbers describe no colour space.

    `primaries` are x and y of red, green, blue and white. `gamma` is the decoding exponent, 0 for
    sRGB's curve.
    """
    columns = _columns(primaries)
    if columns is None:
        return None
    curve = _sampled(_srgb_levels() if not gamma else np.linspace(0, 1, 1024) ** gamma)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(NAME) + 1) + NAME + bytes(1 + 78),
        b"cprt": b"text" + bytes(4) + COPYRIGHT + bytes(1),
        b"wtpt": _xyz(D50),
        **{name: _xyz(xyz) for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T)},
        **{name: curve for name in (b"rTRC", b"gTRC", b"bTRC")},
    }
    return _file(tags)


def _columns(primaries: tuple) -> np.ndarray | None:
    """Linear RGB to XYZ (Lindbloom), adapted to D50 by Bradford's method."""
    xy = np.array(primaries, np.float64)
    if not xy[:, 1].all():
        return None
    xyz = np.column_stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(1)) / xy[:, 1]])
    try:
        matrix = xyz[:3].T * np.linalg.solve(xyz[:3].T, xyz[3])
    except np.linalg.LinAlgError:
        return None
    scale = (BRADFORD @ D50) / (BRADFORD @ xyz[3])
    matrix = np.linalg.inv(BRADFORD) @ np.diag(scale) @ BRADFORD @ matrix
    return matrix if np.abs(matrix).max() < 2 else None  # False for nan


def _srgb_levels() -> np.ndarray:
    gamma, scale, offset, slope, knee = SRGB_CURVE
    levels = np.linspace(0, 1, 1024)
    return np.where(levels <= knee, levels * slope, (levels * scale + offset) ** gamma)


def _sampled(levels: np.ndarray) -> bytes:
    return (
        b"curv"
        + bytes(4)
        + struct.pack(">I", len(levels))
        + np.rint(levels * 65535).astype(">u2").tobytes()
    )


def _xyz(values: tuple) -> bytes:
    return (
        b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)
    )


def _file(tags: dict[bytes, bytes]) -> bytes:
    table = struct.pack(">I", len(tags))
    offset = 128 + 4 + 12 * len(tags)
    bodies = b""
    for name, body in tags.items():
        table += name + struct.pack(">II", offset + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    size = offset + len(bodies)
    head = (
        struct.pack(">I4xI", size, VERSION)
        + b"mntrRGB XYZ "
        + bytes(12)
        + b"acsp"
        + bytes(28)
        + _xyz(D50)[8:]
    )
    return head + bytes(128 - len(head)) + table + bodies
