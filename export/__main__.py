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
from export.parts import OPSET, PARTS, Part, checkpoint_digest, current, versions
from retouch.manifest import Manifest, publish

PRECISIONS = {"bf16": "float32"}  # tier: the arithmetic it is lowered to for ONNX Runtime's CPU


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    sha256 = checkpoint_digest(options.checkpoint)
    wanted = [part for part in PARTS if options.only in (None, part.name)]
    missing = [part for part in wanted
               if not current(part.folder(options.repository, options.precision), sha256, options.precision)]
    if not missing:
        print(f"{options.repository} is up to date with {options.checkpoint}")
        return 0
    try:
        _export(missing, Checkpoint(options.checkpoint), sha256, options)
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
            folder = part.folder(options.repository, options.precision)
            with quiet():
                say = partial(progress.update, bar)
                staging = _build(part, folder, checkpoint, lambda words: say(description=words))
            settings = importlib.import_module(part.module).settings(checkpoint)
            publish(staging, folder, Manifest(
                checkpoint.family, sha256, options.precision, PRECISIONS[options.precision], OPSET,
                made_by, settings=settings))
            staging.rmdir()
            progress.update(bar, advance=1)
            print(f"exported and checked {folder.parent.name}", flush=True)


def _build(part: Part, folder: Path, checkpoint: Checkpoint, say: Callable[[str], None]) -> Path:
    """Everything of one part in a new folder beside `folder`; what an interrupted export left there goes."""
    from export.graph import export

    module, staging = importlib.import_module(part.module), folder.parent / ".partial"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    folder.mkdir(exist_ok=True)
    for graph in module.graphs(checkpoint):
        say(f"{part.name}: {graph.file}")
        export(graph, staging / graph.file)
    module.files(checkpoint, staging)
    return staging


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a folder in diffusers layout")
    parser.add_argument("--precision", choices=PRECISIONS, default="bf16")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--only", choices=[part.name for part in PARTS], help="one part instead of all")
    return parser


if __name__ == "__main__":
    sys.exit(main())
