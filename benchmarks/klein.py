"""A FLUX.2-klein-sized transformer on this GPU: seconds a step in BF16 by batch and tokens.

    python -m benchmarks.klein [--json PATH]
    python -m benchmarks.klein --tiny --device cpu      tries the script without a GPU

Weights are random and made on the device. The reference's keys and values are computed once, as the
denoiser caches them. Shares are of the target's tokens: a region of 15 % of the image is 0.15. The
output names the largest batch that pays: an edit's share of its step is at least a tenth less than
a step alone."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import Flux2Transformer2DModel
from rich.console import Console
from rich.table import Table

from benchmarks.checkpoints import KLEIN
from benchmarks.device import device_of
from benchmarks.results import save_json
from benchmarks.timing import timed
from retouch.api.geometry import CELL
from retouch.diffusion.latents import reference_ids, target_ids
from retouch.families.flux2_klein.sampling import text_ids
from retouch.networks.flux2_passes import Reference, Step
from retouch_export.dtype import parameters_in

SIDES = (512, 1024)
SHARES = (0.05, 0.15, 0.5, 1.0)
BATCHES = (1, 2, 4, 8)
TEXT = 512  # tokens of an instruction
TINY_SIDES = (64, 128)
TINY_TEXT = 8
TINY = {
    "num_layers": 1,
    "num_single_layers": 1,
    "num_attention_heads": 2,
    "attention_head_dim": 32,
    "in_channels": 16,
    "joint_attention_dim": 48,
    "axes_dims_rope": (8, 8, 8, 8),
    "guidance_embeds": False,
}
PAYS = 0.9


@dataclass(frozen=True)
class Row:
    """Seconds of a step shared by `batch` edits at `side` pixels, with `tokens` target and
    `reference` tokens each. `see` is the seconds of the reference pass of one."""

    side: int
    batch: int
    tokens: int
    reference: int
    seconds: float
    see: float

    @property
    def edit_seconds(self) -> float:
        return self.seconds / self.batch


def main() -> None:
    options = parse()
    device = device_of(options.device)
    rows = list(measure(options.tiny, device, options.count))
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else "no GPU: these figures say nothing of one"
    )
    show(rows, name)
    save_json(
        options.json,
        {
            "machine": name,
            "torch": torch.__version__,
            "rows": [asdict(row) for row in rows],
            "findings": findings(rows),
        },
    )


@torch.no_grad()
def measure(tiny: bool, device: torch.device, count: int) -> Iterator[Row]:
    torch.manual_seed(0)
    with parameters_in(torch.bfloat16), device:
        model = Flux2Transformer2DModel(**(TINY if tiny else KLEIN)).eval().requires_grad_(False)
    text_tokens = TINY_TEXT if tiny else TEXT
    see = Reference(model)
    step = Step(model, "velocity")
    for side in TINY_SIDES if tiny else SIDES:
        grid = side // CELL, side // CELL
        cells = grid[0] * grid[1]
        tokens = torch.randn(1, cells, model.config.in_channels, device=device)
        ids = torch.from_numpy(reference_ids(grid))[None].to(device)
        kept = see(tokens, ids)
        seeing = timed(lambda: see(tokens, ids), device, count).median
        for share in SHARES:
            some = max(1, round(share * cells))
            for batch in BATCHES:
                step_inputs = inputs(model, grid, some, batch, text_tokens, device) | {
                    name: tensor.expand(batch, *tensor.shape[1:]).contiguous()
                    for name, tensor in zip(("k", "v"), kept)
                }
                yield Row(
                    side,
                    batch,
                    some,
                    cells,
                    timed(lambda: step(**step_inputs), device, count).median,
                    seeing,
                )


def inputs(
    model: Flux2Transformer2DModel,
    grid: tuple[int, int],
    some: int,
    batch: int,
    text_tokens: int,
    device: torch.device,
) -> dict:
    """Inputs of the step without the reference, for `some` cells in each of `batch` edits with
    instructions of `text_tokens`."""
    ids = torch.from_numpy(target_ids(grid)[:some])[None].repeat(batch, 1, 1)
    conditioning_ids = torch.from_numpy(text_ids(text_tokens))[None].repeat(batch, 1, 1)
    conditioning = torch.randn(batch, text_tokens, model.config.joint_attention_dim)
    tensors = {
        "tokens": torch.randn(batch, some, model.config.in_channels),
        "timestep": torch.full((batch,), 0.7),
        "conditioning": conditioning,
        "ids": ids,
        "conditioning_ids": conditioning_ids,
    }
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def findings(rows: list[Row]) -> dict[str, dict]:
    """By side: the speed-up of a region of 15 % over the whole image, and the largest batch that
    pays, by tokens."""
    alone = {(row.side, row.tokens): row.seconds for row in rows if row.batch == 1}
    by_side: dict[str, dict] = {}
    for side in {row.side for row in rows}:
        sizes = sorted(tokens for where, tokens in alone if where == side)
        pays = {
            tokens: max(
                row.batch
                for row in rows
                if (row.side, row.tokens) == (side, tokens)
                and (row.batch == 1 or row.edit_seconds <= PAYS * alone[side, tokens])
            )
            for tokens in sizes
        }
        by_side[str(side)] = {
            "region": alone[side, sizes[-1]] / alone[side, sizes[1]],
            "batch_that_pays": pays,
        }
    return by_side


def show(rows: list[Row], machine: str) -> None:
    table = Table(
        "side",
        "edits",
        "target tokens",
        "reference tokens",
        "a step",
        "an edit's share",
        "reference pass",
        title=(f"A step of FLUX.2 klein's size in BF16\n{machine}"),
    )
    for row in rows:
        table.add_row(
            *map(str, (row.side, row.batch, row.tokens, row.reference)),
            *(f"{seconds * 1e3:.2f} ms" for seconds in (row.seconds, row.edit_seconds, row.see)),
        )
    console = Console(width=110)
    console.print(table)
    for side, finding in sorted(findings(rows).items()):
        console.print(
            (
                f"{side} px: 15 % of the image {finding['region']:.2f} times as quick as all of "
                "it; a batch pays up to "
            )
            + ", ".join(
                f"{batch} at {tokens} tokens"
                for tokens, batch in finding["batch_that_pays"].items()
            )
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.klein", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--tiny", action="store_true", help="a network of some ten thousand parameters"
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--count", type=int, default=7, help="samples of each figure")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
