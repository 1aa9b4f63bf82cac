"""What the export of a large checkpoint takes: seconds, memory, bytes of every lane's weights.

    python -m benchmarks.large NAME

By its config alone, without weights:

    flux       FLUX.1 Kontext's transformer, 12 B parameters
    texts      its text encoders, CLIP-L and T5-XXL
    qwen       Qwen-Image-Edit's transformer, 20 B
    klein      FLUX.2 klein's transformer, 9 B
    klein-4b   FLUX.2 klein 4B with its text encoder
    dev        FLUX.2 dev's transformer, 32 B, with its text encoder
    instructx  InstructX: a Qwen2.5-VL 3B, 256 meta-queries and a transformer of 9 B

With random weights, for real:

    parser     InstructX's parser alone
    random     a transformer of 1.5 B, quantised too"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import onnx_ir as ir
from rich.console import Console
from rich.table import Table

from benchmarks.checkpoints import CHECKPOINTS, modules, write
from benchmarks.results import save_json
from retouch_export.quantise import bytes_by_tier
from retouch_export.trace_cache import FOLDER

LANES = ("bf16", "fp8", "fp4")


def export(source: Path, out: Path, options: list[str]) -> tuple[float, float]:
    """Seconds and peak resident memory in bytes of an export with all lanes; every graph is traced
    anew."""
    begin = time.perf_counter()
    subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "retouch_export",
            str(source),
            "--repository",
            str(out),
            "--precision",
            ",".join(LANES),
            *options,
        ],
        check=True,
        env={**os.environ, FOLDER: "0"},
    )
    return time.perf_counter() - begin, resource.getrusage(
        resource.RUSAGE_CHILDREN
    ).ru_maxrss * 1024.0


def measure(which: str) -> dict[str, object]:
    """Figures of one export, under stable names."""
    large = CHECKPOINTS[which]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "checkpoint")
        out = Path(folder, "repository")
        calibration = Path(folder, "ranges.json")
        parameters = write(source, large)
        # it allows every layer the same: random weights have nothing to calibrate
        calibration.write_text(json.dumps({"step": dict.fromkeys(modules(large), 8.0)}))
        options = ["--calibration", str(calibration)] if large.weights else ["--weightless"]
        seconds, peak = export(
            source, out, options + (["--only", large.only] if large.only else [])
        )
        lanes = {lane: out / f"denoiser_{lane}" / "1" / "step.onnx" for lane in LANES}
        parser = sum(
            sum(bytes_by_tier(ir.load(path)).values())
            for path in (out / "vl_parser" / "1").glob("*.onnx")
        )
        return {
            "parameters": parameters,
            "seconds": seconds,
            "peak_bytes": peak,
            "parser_bytes": parser,
            "bytes": {
                lane: bytes_by_tier(ir.load(path)) for lane, path in lanes.items() if path.is_file()
            },
        }


def show(figures: dict[str, object]) -> None:
    table = Table(
        title=f"{figures['parameters'] / 1e9:.2f} B parameters: {figures['seconds']:.0f} s, "
        f"{figures['peak_bytes'] / 1e9:.2f} GB of memory at most"
    )
    for column in ("lane", "GB of weights", "bf16", "fp8", "nvfp4"):
        table.add_column(column, justify="left" if column == "lane" else "right")
    for lane, tiers in figures["bytes"].items():
        table.add_row(
            lane,
            *(
                f"{size / 1e9:.2f}"
                for size in (
                    sum(tiers.values()),
                    *map(lambda tier: tiers.get(tier, 0), ("bf16", "fp8", "nvfp4")),
                )
            ),
        )
    if figures["parser_bytes"]:
        table.add_row("parser", f"{figures['parser_bytes'] / 1e9:.2f}", "", "", "")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("which", choices=CHECKPOINTS)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    chosen = parser.parse_args()
    figures = measure(chosen.which)
    show(figures)
    save_json(chosen.json, figures)


if __name__ == "__main__":
    main()
