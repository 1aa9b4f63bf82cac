"""Ablation of the FP4 lane: accuracy and bytes of each rounding method.

    python -m benchmarks.quantisation [--scenes N] [--pictures RECIPE …] [--json PATH]

All recipes are exported to a temporary folder and run there, from one calibration on the
checkpoint's pairs; the scenes are held out. `--pictures` also evaluates the edits of some recipes
on all 500 scenes, as `make eval` does."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.fidelity import Edit, fidelity, record
from benchmarks.results import save_json
from retouch_export.calibrate import calibrate, pairs
from retouch_export.checkpoint import Checkpoint
from retouch_export.exporter import Exporter
from retouch_export.parts import DENOISER, Stage
from retouch_export.ranges import Ranges
from retouch_export.recipe import Recipe, Rounding
from retouch_export.staleness import checkpoint_digest
from training.figures import figures
from training.scenes import HELD_OUT, held_out
from training.shape_edits import evaluate
from training.table import figures_table

LANE = "fp4"
STAGE = Stage(DENOISER, "instructx")
RECIPES = {
    "nearest": Recipe(Rounding.NEAREST, tail=0),
    "search": Recipe(Rounding.SEARCH, tail=0),
    "weighted": Recipe(Rounding.WEIGHTED, tail=0),
    "feedback": Recipe(Rounding.FEEDBACK, tail=0),
    "search, tail 1": Recipe(Rounding.SEARCH, tail=1),
    "feedback, tail 1": Recipe(Rounding.FEEDBACK, tail=1),
    "feedback, tail 2": Recipe(Rounding.FEEDBACK, tail=2),
}


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    exporter = Exporter(
        Checkpoint(options.checkpoint), checkpoint_digest(options.checkpoint), options.repository
    )
    ranges = calibrate(options.repository, pairs(options.checkpoint))
    edits = record(options.repository, held_out(options.scenes))
    results = {
        name: measure(exporter, ranges, recipe, edits, name in options.pictures)
        for name, recipe in RECIPES.items()
    }
    show(results, options.scenes)
    save_json(options.json, {"scenes": options.scenes, "recipes": results})


def measure(
    exporter: Exporter, ranges: Ranges, recipe: Recipe, edits: list[Edit], pictures: bool
) -> dict[str, Any]:
    """Figures of the lane exported by `recipe`, beside the other models of the exporter's
    repository."""
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        for model in exporter.repository.iterdir():
            if model.name != f"{DENOISER}_{LANE}":
                (repository / model.name).symlink_to(model.resolve())
        sizes = Exporter(exporter.checkpoint, exporter.sha256, repository, lambda _: None).narrow(
            STAGE, LANE, ranges, recipe
        )
        result = {
            "bytes": sizes,
            "shipped": recipe == Recipe(),
            **asdict(fidelity(repository, LANE, edits)),
        }
        if pictures:
            scenes = held_out()
            lane = figures(scenes, evaluate(repository, [LANE], scenes))["lanes"][LANE]
            result |= {
                name: lane[name]
                for name in (
                    "success",
                    "loss_points",
                    "lpips_mean",
                    "lpips_worst",
                    "psnr_mean",
                    "psnr_worst",
                )
            }
    return result


def show(results: dict[str, dict[str, Any]], scenes: int) -> None:
    """Print two tables of 80 columns: errors of all recipes, and picture quality of those that were
    judged."""
    errors = figures_table(
        f"{LANE}: relative errors against bf16, {scenes} held-out scenes",
        (
            "weights: of the NVFP4 layers of the step graph; velocity: at each step, on bf16's "
            f"own tokens; latents: at the end of {LANE}'s own edits; bold is what is shipped"
        ),
        "recipe",
        "MB",
        "weights",
        *(f"velocity\n{step + 1}" for step in range(len(next(iter(results.values()))["velocity"]))),
        "latents",
        no_wrap=True,
    )
    judged = figures_table(
        f"{LANE}: pictures of {HELD_OUT} held-out scenes, against bf16",
        None,
        "recipe",
        "success",
        "points\nlost",
        "LPIPS\nmean",
        "LPIPS\nworst",
        "PSNR\nmean",
        "PSNR\nworst",
        no_wrap=True,
    )
    for name, row in results.items():
        style = "bold" if row["shipped"] else None
        errors.add_row(
            name,
            f"{sum(row['bytes'].values()) / 1e6:.2f}",
            *(f"{error:.2%}" for error in (row["weights"], *row["velocity"], row["latents"])),
            style=style,
        )
        if "success" in row:
            judged.add_row(
                name,
                f"{row['success']:.1%}",
                f"{row['loss_points']:.1f}",
                f"{row['lpips_mean']:.4f}",
                f"{row['lpips_worst']:.4f}",
                f"{row['psnr_mean']:.1f}",
                f"{row['psnr_worst']:.1f}",
                style=style,
            )
    Console(highlight=False).print(
        *(table for table in (errors, judged) if table.row_count), sep="\n"
    )


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/photo"))
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--pictures", nargs="*", choices=RECIPES, default=())
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
