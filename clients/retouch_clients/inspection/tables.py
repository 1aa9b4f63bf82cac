"""`retouch inspect`: what a checkpoint is, how large its lanes are, where they fit and what is
missing, as tables."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from retouch_clients.cli.console import console
from retouch_export.memory import MOST
from retouch_export.sizes import Network
from retouch_export.summary import Fit, Summary


def show(found: Summary) -> None:
    steps = f"{found.steps} steps" if found.steps else "steps unknown"
    guidance = f"guidance {found.guidance:g}{' (the transformer runs twice a step)' if found.twice else ''}"
    console.print(
        f"{found.pipeline}, family {found.family}: {steps}, {guidance if found.guidance else 'no guidance'}"
    )
    if found.networks:
        console.print(_networks(found.networks))
    if found.lanes:
        console.print(_lanes(found.lanes))
    if found.fits:
        console.print(_fits(found.fits))
    for sentence in found.missing:
        console.print(f"[yellow]missing[/]  {escape(sentence)}", soft_wrap=True)
    for sentence in found.optional:
        console.print(f"optional {escape(sentence)}", soft_wrap=True)


def _networks(networks: list[Network]) -> Table:
    table = Table("part", "class", "parameters", "stored as")
    table.columns[2].justify = "right"
    for each in networks:
        counts = (f"{count:,} {kind}" for kind, count in each.dtypes.items())
        stored = (
            ", ".join(counts if len(each.dtypes) > 1 else each.dtypes)
            or "no weights: by its config"
        )
        table.add_row(each.name, each.kind, f"{each.parameters:,}", stored)
    return table


def _lanes(lanes: dict[str, dict[str, int]]) -> Table:
    tiers = ("bf16", "fp8", "nvfp4")
    table = Table("lane", "transformer", *tiers)
    for column in table.columns[1:]:
        column.justify = "right"
    for lane, sizes in lanes.items():
        table.add_row(
            lane,
            _size(sum(sizes.values())),
            *(_size(sizes[tier]) if tier in sizes else "" for tier in tiers),
        )
    return table


def _fits(fits: list[Fit]) -> Table:
    """A row a GPU, a column a lane and side."""
    table = Table(
        title="edits that share a step, at most",
        caption=(
            "with all networks on the GPU / with the transformer alone there;\n0: does not fit, –: no such kernels. "
            "An estimate by the formula in export/retouch_export/memory.py"
        ),
    )
    columns = list(dict.fromkeys((fit.lane, fit.side) for fit in fits))
    table.add_column("GPU", no_wrap=True)
    for lane, side in columns:
        table.add_column(f"{lane}\n{side} px", justify="right", no_wrap=True)
    for gpu in dict.fromkeys((fit.gpu, fit.gigabytes) for fit in fits):
        row = {(fit.lane, fit.side): fit for fit in fits if (fit.gpu, fit.gigabytes) == gpu}
        table.add_row(f"{gpu[0]}, {gpu[1]} GB", *(_batches(row[column]) for column in columns))
    return table


def _batches(fit: Fit) -> str:
    if fit.whole is None or fit.alone is None:
        return "–"
    return "/".join(
        f"{batch}+" if batch == MOST else str(batch) for batch in (fit.whole, fit.alone)
    )


def _size(size: int) -> str:
    return f"{size / 1e9:,.2f} GB" if size >= 1e8 else f"{size / 1e6:,.2f} MB"
