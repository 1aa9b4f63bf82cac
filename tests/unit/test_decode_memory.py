"""The memory of decoding a photo and composing its answer stays below the bound that
clients/README.md states."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.decode_memory import photo_file

BYTES_A_PIXEL = 18  # pixels, what Pillow decodes and encodes in, the edit and its answer
FIXED = 60 << 20  # codecs' own, and a bucket
SIDE = 2500
MEASURE = (
    "import sys; from benchmarks.decode_memory import peak_of; print(peak_of(open(sys.argv[1], "
    ""
    ""
    ""
    ""
    ""
    ""
    ""
    ""
    ""
    ""
    ""
    ""
    ""
    ""
    ""
    ""
    ""
    ""
    ""
    "'rb').read()))"
)


@pytest.mark.parametrize(
    "name", ("PNG, transparent", "PNG, Adobe RGB", "JPEG, progressive", "WebP")
)
def test_the_peak_is_bounded(name, tmp_path):
    path = tmp_path / "photo"
    path.write_bytes(photo_file(name, SIDE))
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert SIDE * SIDE * 6 < int(result.stdout) < SIDE * SIDE * BYTES_A_PIXEL + FIXED
