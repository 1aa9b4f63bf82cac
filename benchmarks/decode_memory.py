"""Peak memory and time of decoding a photo of the largest size and composing its answer, each in a
process of its own.

`python -m benchmarks.decode_memory` prints a table; `--only "JPEG"` takes the rows whose name has
that text."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import PIL
from PIL import Image

from benchmarks.machine import machine
from retouch.api.limits import MAX_PIXELS
from retouch.api.request import EditRequest
from retouch.api.response import EditInfo
from retouch.families.registry import family_of
from retouch.imaging import rgb_profile
from retouch.imaging.colour import ADOBE
from retouch.routing.router import Choice
from retouch.serving.postprocess import postprocess
from retouch.serving.preprocess import preprocess

MIB = 1 << 20
STATUS = Path("/proc/self/status")
TILE = 1000  # pixels; of photographs' size on disk
FILES = {  # format, mode and what else the encoder is told
    "PNG": ("PNG", "RGB", {"compress_level": 1}),
    "PNG, transparent": ("PNG", "RGBA", {"compress_level": 1}),
    "PNG, Adobe RGB": (
        "PNG",
        "RGB",
        {"compress_level": 1, "icc_profile": rgb_profile.of(ADOBE, 2.2)},
    ),
    "JPEG": ("JPEG", "RGB", {"quality": 92}),
    "JPEG, progressive": ("JPEG", "RGB", {"quality": 92, "progressive": True}),
    "JPEG, CMYK": ("JPEG", "CMYK", {"quality": 92}),
    "WebP": ("WEBP", "RGB", {"quality": 80, "method": 0}),
    "WebP, lossless": ("WEBP", "RGBA", {"lossless": True, "method": 0, "quality": 0}),
    "AVIF": ("AVIF", "RGB", {"quality": 60, "speed": 10}),
    "TIFF, deflated": ("TIFF", "RGB", {"compression": "tiff_adobe_deflate"}),
    "TIFF, JPEG": ("TIFF", "RGB", {"compression": "jpeg"}),
    "GIF": ("GIF", "P", {}),
    "BMP, run lengths": ("BMP", "L", {}),
}


@click.command()
@click.option("--only", default="", help="Rows whose name has this text.")
@click.option("--decode", type=click.Path(path_type=Path), hidden=True)
@click.option("--prepare", nargs=2, hidden=True)
def main(only: str, decode: Path | None, prepare: tuple[str, str] | None):
    """Print a row a kind of file: its size, the peak over an idle process, and the seconds of each
    half."""
    if decode:
        click.echo(_measured(decode.read_bytes()))
    elif prepare:
        Path(prepare[1]).write_bytes(photo_file(prepare[0]))
    else:
        _table([name for name in FILES if only in name])


def photo_file(name: str, side: int = round(MAX_PIXELS**0.5)) -> bytes:
    """A square file of FILES: grainy blocks of `side` squared pixels."""
    format, mode, options = FILES[name]
    rng = np.random.default_rng(0)
    blocks = rng.integers(40, 200, (10, 10, 3)).repeat(TILE // 10, 0).repeat(TILE // 10, 1)
    tile = (blocks + rng.integers(-2, 3, (TILE, TILE, 1))).astype(np.uint8)
    count = -(-side // TILE)
    image = Image.fromarray(np.tile(tile, (count, count, 1))[:side, :side])
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize((side, side)))
    out = io.BytesIO()
    image.convert(mode).save(out, format, **options)
    return out.getvalue()


def _table(names: list[str]):
    this = machine()
    click.echo(
        f"{this.processor}, {this.system}, Python {this.python}, Pillow {PIL.__version__}, "
        f"{this.commit}\n"
    )
    click.echo("| file | MiB | peak MiB | decoding s | answering s |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            file = Path(folder) / "photo"
            _run("--prepare", name, str(file))
            click.echo(
                f"| {name} | {file.stat().st_size / MIB:.0f} | {_run('--decode', str(file))} |"
            )


def _run(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.decode_memory", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def peak_of(file: bytes) -> int:
    """Bytes that an edit of the file takes above those of an idle process. Needs a fresh
    process."""
    idle = _peak()
    compose(file)
    return _peak() - idle


def compose(file: bytes) -> tuple[float, float]:
    """Prepare an edit of the file and make its answer; the seconds of each."""
    start = time.perf_counter()
    family = family_of("instructx", {"patch": 8, "shift": 3.0})
    request = EditRequest(file, "sharpen", region=b"full", format="jpeg")
    prepared = preprocess(request, Choice("bf16", ""), family)
    middle = time.perf_counter()
    source = prepared.source
    cells = np.ones(source.grid[0] * source.grid[1], bool)
    picture = np.full((*source.bucket, 3), 128, np.uint8)
    postprocess(source, cells, picture, (1, 1), EditInfo("", 0, "bf16"))
    return middle - start, time.perf_counter() - middle


def _measured(file: bytes) -> str:
    idle = _peak()
    decoding, answering = compose(file)
    return f"{(_peak() - idle) / MIB:.0f} | {decoding:.1f} | {answering:.1f}"


def _peak() -> int:
    """Bytes that the process has had in memory at once (Linux; getrusage would count its parent's,
    too)."""
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
