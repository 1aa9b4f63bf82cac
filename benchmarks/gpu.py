"""A FLUX.1-sized transformer on this GPU: seconds a step in BF16 and FP8, and the GPU's peaks.

Weights are random and made on the device: nothing is downloaded. 1024 × 1024 are 4096 target
tokens, beside 4096 of a reference and 512 of text. Every figure is a median after a warm-up. Shares
of the peak compare the formula in `benchmarks/flops.py` with products timed in the same run. The
same edits then run through tritonserver's Python backend. `--tiny` tries the script on a machine
without a GPU; its figures mean nothing."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.device import device_of, release
from benchmarks.flops import Work
from benchmarks.flux import FULL, TINY, Flux, Settings, inputs
from benchmarks.options import some_of
from benchmarks.peak import attentions, products
from benchmarks.results import save_json
from benchmarks.timing import Timing, timed
from benchmarks.triton_flux import edits
from retouch.launcher.server import ServerError

PRECISIONS = ("bf16", "fp8")
WAYS = ("eager", "compiled")
CLOCKS = "clocks.sm,clocks.max.sm,power.draw,temperature.gpu"  # MHz, MHz, W, °C


@dataclass(frozen=True)
class Row:
    """Seconds a step in one way.

    `share` is the time that the measured peaks would take, over the measured time; `error` the norm
    of the difference from the first row's velocity, over that one's norm."""

    precision: str
    way: str
    seconds: Timing
    share: float
    error: float


@dataclass(frozen=True)
class Served:
    """Seconds a step of requests of several, through the server and by the same call in one
    process.

    `error` is the norm of the difference of their answers, over that of the latter.
    """

    precision: str
    way: str
    steps: int
    seconds: Timing
    plain: Timing
    error: float


def main() -> None:
    options = parse()
    device = device_of(options.device)
    figures: dict[str, Any] = {"machine": machine(device), "clocks": {"before": clocks(device)}}
    print(*(f"{name:10} {value}" for name, value in figures["machine"].items()), sep="\n")
    peaks = measure_peaks(options, device, figures)
    rows, served = measure(options, device, peaks, figures)
    figures["clocks"]["after"] = clocks(device)
    figures |= {"steps": list(map(asdict, rows)), "served": list(map(asdict, served))}
    compare(rows, figures)
    save_json(options.json, figures)


def measure_peaks(
    options: argparse.Namespace, device: torch.device, figures: dict[str, Any]
) -> dict[str, float]:
    """Operations a second by precision. Fills `figures` with these, the attention kernels and the
    fastest one's name."""
    config, tokens = TINY if options.tiny else FULL
    size = 256 if options.tiny else 8192
    matmuls = products(device, size, options.count)
    heads = config.get("num_attention_heads", 24)
    head = config.get("attention_head_dim", 128)
    kernels = attentions(device, tokens, heads, head, options.count)
    figures["attention"] = max(kernels, key=lambda name: kernels[name][1])
    for title, some in (("peak", matmuls), ("attention_peak", kernels)):
        figures[title] = {
            name: {"tflops": rate / 1e12, "seconds": asdict(time)}
            for name, (time, rate) in some.items()
        }
        for name, (time, rate) in some.items():
            print(
                f"{title.replace('_', ' '):15} {name:8} {rate / 1e12:8.1f} TFLOP/s   "
                f"{spread_text(time, 1e3, 'ms')}"
            )
    return {name: rate for name, (_, rate) in matmuls.items()}


def measure(
    options: argparse.Namespace,
    device: torch.device,
    peaks: dict[str, float],
    figures: dict[str, Any],
) -> tuple[list[Row], list[Served]]:
    """All rows, printed as they come."""
    rows = []
    served = []
    first = None
    for precision in options.precisions:
        settings = Settings(options.tiny, precision, False, figures["attention"], str(device))
        flux = Flux(settings)
        figures["work"] = asdict(flux.work)
        for way in options.ways:
            if way == "compiled":
                flux.compile()
            velocity = flux.step(**flux.inputs).float().cpu()
            if not velocity.isfinite().all():
                sys.exit(f"{precision}, {way}: the velocity is not finite")
            first = velocity if first is None else first
            time = timed(partial(flux.step, **flux.inputs), device, options.count)
            rows.append(
                Row(
                    precision,
                    way,
                    time,
                    flux.work.least_seconds(precision, peaks) / time.median,
                    float((velocity - first).norm() / first.norm()),
                )
            )
            print_row(rows[-1], flux.work)
        if options.server:
            request = inputs(options.tiny)
            expected = flux.edit(options.steps, request)
            edit = partial(flux.edit, options.steps, request)
            plain = timed(edit, device, options.count, warm_up=1)
            del edit
        del flux
        release(device)
        if options.server:
            served += serve(replace(settings, compiled=way == "compiled"), options, plain, expected)
    return rows, served


def serve(
    settings: Settings, options: argparse.Namespace, plain: Timing, expected: np.ndarray
) -> Iterator[Served]:
    """One row, or a line with the reason why there is none."""
    way = "compiled" if settings.compiled else "eager"
    try:
        seconds, edited = edits(settings, options.steps, options.count)
    except ServerError as failure:
        print(f"not served: {failure}")
        return
    row = Served(
        settings.precision,
        way,
        options.steps,
        seconds.shared(options.steps),
        plain.shared(options.steps),
        float(np.linalg.norm(edited - expected) / np.linalg.norm(expected)),
    )
    print(
        f"served {row.precision:5} {way:9} {spread_text(row.seconds)} a step of {row.steps}; "
        f"in one process {spread_text(row.plain)}, error {row.error:.4f}"
    )
    yield row


def print_row(row: Row, work: Work) -> None:
    rate = work.total / row.seconds.median / 1e12
    print(
        f"step   {row.precision:5} {row.way:9} {spread_text(row.seconds)}   {rate:8.1f} TFLOP/s   "
        f"{row.share:6.1%} of the peak   error {row.error:.4f}"
    )


def compare(rows: list[Row], figures: dict[str, Any]) -> None:
    """How many times faster FP8 is, by way."""
    seconds = {(row.precision, row.way): row.seconds.median for row in rows}
    figures["fp8_speedup"] = {
        way: seconds["bf16", way] / seconds["fp8", way]
        for way in WAYS
        if {("bf16", way), ("fp8", way)} <= seconds.keys()
    }
    for way, ratio in figures["fp8_speedup"].items():
        print(f"fp8 over bf16, {way}: {ratio:.2f} times as fast")


def machine(device: torch.device) -> dict[str, str]:
    gpu = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else "none: these figures say nothing of a GPU"
    )
    return {"gpu": gpu, "torch": torch.__version__, "cuda": torch.version.cuda or "none"}


def clocks(device: torch.device) -> dict[str, str]:
    """The driver's current clocks, by nvidia-smi's names; empty without a driver."""
    if device.type != "cuda":
        return {}
    try:
        query = [
            "nvidia-smi",
            f"--query-gpu={CLOCKS}",
            "--format=csv,noheader",
            f"--id={device.index or 0}",
        ]
        output = subprocess.run(
            query, capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(CLOCKS.split(","), (value.strip() for value in output.split(","))))


def spread_text(time: Timing, unit: float = 1.0, name: str = "s") -> str:
    return f"{time.median * unit:.4f} {name} ({time.least * unit:.4f} to {time.most * unit:.4f})"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tiny", action="store_true", help="a network of tens of thousands of parameters"
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--precisions", type=some_of(PRECISIONS), default=PRECISIONS, help="bf16,fp8"
    )
    parser.add_argument(
        "--ways",
        type=some_of(WAYS),
        default=WAYS,
        help="eager,compiled; the last one is served too",
    )
    parser.add_argument("--count", type=int, default=7, help="samples of each figure")
    parser.add_argument("--steps", type=int, default=4, help="steps of a request")
    parser.add_argument("--no-server", dest="server", action="store_false")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
