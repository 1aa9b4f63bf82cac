"""`python -m export checkpoints/shapes`: fill a model repository with what a checkpoint becomes."""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from export.checkpoint import Checkpoint
from export.parts import DENOISER, OPSET, PARTS, Part, checkpoint_digest, current, versions
from retouch.manifest import Manifest, publish, verify

# lane: the arithmetic it is lowered to for ONNX Runtime's CPU
PRECISIONS = {"bf16": "float32", "fp8": "E4M3, float32", "fp4": "E2M1 as E4M3, float32"}


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    sha256 = checkpoint_digest(options.checkpoint)
    wanted = [part for part in PARTS if options.only in (None, part.name)]
    missing = [part for part in wanted if not current(part.folder(options.repository, "bf16"), sha256, "bf16")]
    lanes = [lane for lane in _narrow_lanes(options)
             if missing or not current(DENOISER.folder(options.repository, lane), sha256, lane)]
    if not missing and not lanes:
        print(f"{options.repository} is up to date with {options.checkpoint}")
        return 0
    try:
        checkpoint = Checkpoint(options.checkpoint)
        if missing:
            _export(missing, checkpoint, sha256, options)
        if lanes:
            _narrow(lanes, checkpoint, sha256, options)
    except (RuntimeError, OSError, ValueError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the parts that were exported stay", file=sys.stderr)
        return 130
    return 0


def _export(parts: list[Part], checkpoint: Checkpoint, sha256: str, options: argparse.Namespace) -> None:
    """Export the parts with a bar that moves by the part; torch is loaded here and not before."""
    from rich.console import Console
    from rich.progress import Progress

    console, made_by = Console(stderr=True), versions()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("loading torch", total=len(parts))
        from export.quiet import quiet

        for part in parts:
            folder = part.folder(options.repository, "bf16")
            with quiet():
                say = partial(progress.update, bar)
                staging = _build(part, folder, checkpoint, lambda words: say(description=words))
            settings = importlib.import_module(part.module).settings(checkpoint)
            publish(staging, folder, Manifest(
                checkpoint.family, sha256, "bf16", PRECISIONS["bf16"], OPSET, made_by, settings=settings))
            staging.rmdir()
            progress.update(bar, advance=1)
            print(f"exported and checked {folder.parent.name}", flush=True)


def _narrow_lanes(options: argparse.Namespace) -> list[str]:
    """Lanes to quantise: they take the other parts from the bf16 lane."""
    whole = options.only in (None, DENOISER.name)
    return [lane for lane in options.precision if lane != "bf16"] if whole else []


def _narrow(lanes: list[str], checkpoint: Checkpoint, sha256: str, options: argparse.Namespace) -> None:
    """Calibrate once, then quantise every lane."""
    from rich.progress import track

    from export.calibrate import calibrate, pairs
    from export.narrow import narrow

    examples = track(pairs(checkpoint.folder), "calibrating", transient=True)
    ranges = calibrate(options.repository, examples)
    source = DENOISER.folder(options.repository, "bf16")
    settings = verify(source).settings
    for lane in lanes:
        folder = DENOISER.folder(options.repository, lane)
        staging = _staging(folder)
        sizes = narrow(source, staging, lane, ranges)
        importlib.import_module(DENOISER.module).files(checkpoint, staging)
        publish(staging, folder, Manifest(
            checkpoint.family, sha256, lane, PRECISIONS[lane], OPSET, versions(), settings=settings))
        staging.rmdir()
        told = ", ".join(f"{tier} {size / 1e6:.2f} MB" for tier, size in sorted(sizes.items()))
        print(f"quantised {folder.parent.name}: {told}", flush=True)


def _staging(folder: Path) -> Path:
    """An empty folder beside `folder`; what an interrupted export left there goes."""
    staging = folder.parent / ".partial"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    folder.mkdir(exist_ok=True)
    return staging


def _build(part: Part, folder: Path, checkpoint: Checkpoint, say: Callable[[str], None]) -> Path:
    """Everything of one part in a staging folder."""
    from export.graph import export

    module, staging = importlib.import_module(part.module), _staging(folder)
    for graph in module.graphs(checkpoint):
        say(f"{part.name}: {graph.file}")
        export(graph, staging / graph.file)
    module.files(checkpoint, staging)
    return staging


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a folder in diffusers layout")
    parser.add_argument("--precision", choices=PRECISIONS, nargs="+", default=["bf16"], help="lanes of the denoiser")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--only", choices=[part.name for part in PARTS], help="one part instead of all")
    return parser


if __name__ == "__main__":
    sys.exit(main())
