"""Measure this machine and write the report.

    python -m benchmarks.report [--quick | --tiny] [--slo-ms 500] [--out out/bench] [--json PATH]
    python -m benchmarks.report --from out/bench/figures.json      writes the pages again

The server and the endpoints listen on loopback, and stop at the end or on Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.report import figures, html, markdown
from benchmarks.report.figures import Figures
from benchmarks.report.plan import FULL, QUICK, TINY, Effort
from benchmarks.report.report_text import story
from benchmarks.report.suite import Campaign
from retouch.launcher.server import ServerError

SLO_MS = 500.0


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    console = Console(highlight=False)
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # ended by a service, it ends what it started
    try:
        results = figures.load(options.source) if options.source else measure(options, console)
    except ServerError as failure:
        sys.exit(f"error: {failure}")
    except KeyboardInterrupt:
        console.print("stopped")
        sys.exit(130)
    for path in write(results, options.out):
        console.print(f"wrote {path}", soft_wrap=True)
    if options.json:
        figures.save(results, options.json)
    for missing in results.missing:
        console.print(f"not measured: {missing.what}: {missing.why}")


def measure(options: argparse.Namespace, console: Console) -> Figures:
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("")

        def say(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        campaign = Campaign(effort_of(options), options.slo_ms, options.out / "raw", say)
        results = campaign.run()
        bar.update(task, description="done", completed=campaign.total, total=campaign.total)
    return results


def effort_of(options: argparse.Namespace) -> Effort:
    if options.tiny:
        return TINY
    return QUICK if options.quick else FULL


def write(results: Figures, out: Path) -> list[Path]:
    """figures.json, report.md with its plots, and report.html, which needs no other file."""
    out.mkdir(parents=True, exist_ok=True)
    figures.save(results, out / "figures.json")
    document = story(results)
    return [out / "figures.json", markdown.write(document, out), html.write(document, out)]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer loads and edits: under three minutes"
    )
    parser.add_argument(
        "--tiny", action="store_true", help="a few edits of every load, whose figures say nothing"
    )
    parser.add_argument(
        "--slo-ms", type=float, default=SLO_MS, help="the latency limit of a good edit"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/bench"), help="folder of the report and its raw files"
    )
    parser.add_argument("--json", type=Path, help="write all figures here as well")
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        help="write the pages from these figures without measuring",
    )
    options = parser.parse_args(arguments)
    options.out = options.out.resolve()
    if options.slo_ms <= 0:
        parser.error(f"--slo-ms is {options.slo_ms:g}; it must be above 0")
    return options


if __name__ == "__main__":
    main()
