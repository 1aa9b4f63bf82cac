"""Tables of `retouch inspect`: a checkpoint's networks, lanes, supported GPUs and missing files."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from retouch_clients.cli.console import console
from retouch_export.memory import MOST
from retouch_export.server_memory import Layout
from retouch_export.sizes import Network
from retouch_export.summary import Fit, Summary


def show(summary: Summary) -> None:
    """Print the summary."""
    steps = f"{summary.steps} steps" if summary.steps else "steps unknown"
    twice = " (the transformer runs twice a step)" if summary.twice else ""
    guidance = f"guidance {summary.guidance:g}{twice}" if summary.guidance else "no guidance"
    console.print(f"{summary.pipeline}, family {summary.family}: {steps}, {guidance}")
    if summary.networks:
        console.print(_networks(summary.networks))
    if summary.lanes:
        console.print(_lanes(summary.lanes))
    if summary.fits:
        console.print(_fits(summary.fits))
    if summary.layouts:
        console.print(_layouts(summary.layouts))
    for sentence in summary.missing:
        console.print(f"[yellow]missing[/]  {escape(sentence)}", soft_wrap=True)
    for sentence in summary.optional:
        console.print(f"optional {escape(sentence)}", soft_wrap=True)


def _networks(networks: list[Network]) -> Table:
    table = Table("part", "class", "parameters", "stored as")
    table.columns[2].justify = "right"
    for network in networks:
        counts = (f"{count:,} {kind}" for kind, count in network.dtypes.items())
        stored = (
            ", ".join(counts if len(network.dtypes) > 1 else network.dtypes)
            or "no weights: defined by its config"
        )
        table.add_row(network.name, network.kind, f"{network.parameters:,}", stored)
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
    """A row for each GPU, a column for each lane and image side."""
    table = Table(
        title="maximum edits per step",
        caption=(
            "all networks on the GPU / only the transformer on the GPU;\n"
            "0: does not fit, –: no kernels for this GPU. "
            "Estimated by the formula in export/retouch_export/memory.py"
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


def _layouts(layouts: list[Layout]) -> Table:
    """A row for each size of GPUs: what to put where."""
    table = Table(
        title=f"the whole server, {layouts[0].side} px",
        caption=(
            "text models, autoencoder and lanes in one process each, as bf16 graphs or narrower;\n"
            "on the host: give that model the runner onnx. "
            "Estimated by the formulas in export/retouch_export/server_memory.py"
        ),
    )
    for title in (
        "GPU",
        "lanes",
        "edits a step",
        "reference cache",
        "used",
        "by model",
        "on the host",
    ):
        table.add_column(title)
    for layout in layouts:
        models = (f"{name} {_size(count)}" for name, count in layout.parts.items())
        row = (
            (
                ", ".join(layout.lanes),
                f"{layout.edits}{'+' * (layout.edits == MOST)}",
                _size(layout.cache_bytes) if layout.cache_bytes else "",
                _size(layout.used),
                "\n".join(models),
                ", ".join(layout.on_host),
            )
            if layout.lanes
            else ("does not fit", *[""] * 5)
        )
        table.add_row(f"{layout.gigabytes} GB\n{layout.gpu}", *row)
    return table


def _batches(fit: Fit) -> str:
    if fit.whole is None or fit.alone is None:
        return "–"
    return "/".join(
        f"{batch}+" if batch == MOST else str(batch) for batch in (fit.whole, fit.alone)
    )


def _size(count: float) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e8 else f"{count / 1e6:,.2f} MB"
