"""Pillow's own test pictures, from the source package of the very version that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import PIL

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "retouch"
FETCH_SECONDS = 300


def folder() -> Path | None:
    """The pictures, fetched by pip where they are not kept from an earlier run; None without a
    network."""
    pictures = CACHE / f"pillow-{PIL.__version__}"
    if not pictures.is_dir():
        _fetch(pictures)
    return pictures if pictures.is_dir() else None


def _fetch(pictures: Path) -> None:
    """pip always prepares what it downloads, which fails without a compiler; the unpacked source
    stays behind."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        arguments = [
            "download",
            "--quiet",
            "--no-clean",
            "--no-build-isolation",
            "--no-deps",
            "--no-binary",
            ":all:",
        ]
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                *arguments,
                "--dest",
                place,
                f"pillow=={PIL.__version__}",
            ],
            env={**os.environ, "TMPDIR": place},
            capture_output=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
        unpacked = next(Path(place).glob("**/Tests/images"), None)
        if unpacked is not None:
            shutil.move(unpacked, Path(place) / "complete")
            (Path(place) / "complete").replace(pictures)
