"""Everything that a GPU can tell, in one command.

    make gpu [GPU="--budget 600"]
    python -m benchmarks.gpu_hour --tiny        tries it on a machine without a GPU

Runs the tests of tests/gpu, every part's seconds and memory, the tables of benchmarks.gpu and
benchmarks.klein, and a whole edit through tritonserver. A section that cannot run is named with the
reason, and the others follow. It writes one JSON file and fills the tables of benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import platform
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.gpu_hour.readme import fill
from benchmarks.gpu_hour.runner import ROOT, run
from benchmarks.gpu_hour.section import DONE, Outcome
from benchmarks.gpu_hour.sections import SECTIONS
from benchmarks.results import save_json

HOUR = 3600
PACKAGES = ("torch", "diffusers", "transformers", "numpy", "onnxruntime-gpu", "tensorrt-cu13")


def main() -> None:
    options = parse()
    if not options.tiny and not torch.cuda.is_available():
        sys.exit(
            f"PyTorch {torch.__version__} finds no GPU here; --tiny tries the command without one"
        )
    chosen = [section for section in SECTIONS if section.name in options.sections]
    figures = {"machine": machine(), "sections": {}}
    for outcome in run(chosen, options.budget, options.tiny):
        show(outcome)
        figures["sections"][outcome.name] = asdict(outcome)
        save_json(options.json, figures)
    if options.readme and not options.tiny:
        fill(ROOT / "benchmarks" / "README.md", figures)
    states = [section["state"] for section in figures["sections"].values()]
    sys.exit(0 if DONE in states else 1)


def machine() -> dict[str, str]:
    """The GPU, its driver's CUDA, and versions."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    about = {
        "gpu": gpu,
        "cuda": torch.version.cuda or "none",
        "python": platform.python_version(),
    }
    for name in PACKAGES:
        try:
            about[name] = version(name)
        except PackageNotFoundError:
            about[name] = "not installed"
    return about


def show(outcome: Outcome) -> None:
    text = f"{outcome.name}: {outcome.state} after {outcome.seconds:.0f} s"
    print(f"{text}; {outcome.reason}" if outcome.reason else text, flush=True)


def parse() -> argparse.Namespace:
    names = [section.name for section in SECTIONS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_hour", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--budget", type=float, default=HOUR, help="seconds for everything")
    parser.add_argument("--tiny", action="store_true", help="tiny networks on the CPU")
    parser.add_argument(
        "--sections", type=lambda text: text.split(","), default=names, help=",".join(names)
    )
    parser.add_argument("--no-readme", dest="readme", action="store_false")
    parser.add_argument("--json", type=Path, default=ROOT / "out" / "gpu-hour.json")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(names):
        parser.error(f"{', '.join(sorted(unknown))} is no section; there are {', '.join(names)}")
    return options


if __name__ == "__main__":
    main()
