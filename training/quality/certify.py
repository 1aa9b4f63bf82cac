"""Choose the thresholds of the evaluator's scores, and certify them on answers kept apart.

    python -m training.quality.certify --scores scores.json --out thresholds.json [--least N]

docs/quality-policy.md explains both files."""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from retouch.quality.thresholds.certify import LEAST, certify
from retouch.quality.thresholds.clopper_pearson import trials_needed
from retouch.quality.thresholds.file import write_thresholds
from retouch.quality.thresholds.thresholds import FALSE_ALARMS, RECALL, ClassThresholds, Thresholds
from training.quality.scores_file import read_scores
from training.table import figures_table


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    try:
        scores = read_scores(options.scores)
        thresholds = certify(scores.answers, scores.evaluator, options.date, least=options.least)
        write_thresholds(thresholds, options.out)
    except (ValueError, OSError) as failure:
        sys.exit(f"error: {failure}")
    Console(highlight=False).print(table(thresholds))
    print(f"wrote {options.out}")


def table(thresholds: Thresholds) -> Table:
    """The thresholds of every class, with the bounds that the certifying half gives."""
    out = figures_table(
        f"thresholds of evaluator {thresholds.evaluator}",
        (
            f"recall: spoiled answers that are not accepted, certified from {RECALL:.0%}; "
            f"false alarms: good answers that are rejected, certified to {FALSE_ALARMS:.0%}. "
            f"The bounds hold with {thresholds.confidence:.0%} confidence, for one row at a time; "
            "(estimate) is a share that too few answers, or too many errors, leave uncertified."
        ),
        "lane",
        "operation",
        "reject\nbelow",
        "accept\nfrom",
        "spoiled",
        "recall",
        "at least",
        "good",
        "false\nalarms",
        "at most",
    )
    for entry in thresholds.classes:
        out.add_row(*_row(entry))
    return out


def _row(entry: ClassThresholds) -> list[str]:
    recall, alarms = entry.recall, entry.false_alarms
    return [
        entry.lane,
        entry.operation,
        f"{entry.reject_below:.3f}",
        f"{entry.accept_from:.3f}",
        str(recall.n),
        f"{recall.k / recall.n:.1%}",
        f"{recall.low:.1%}{_mark(recall.is_certified)}",
        str(alarms.n),
        f"{alarms.k / alarms.n:.1%}",
        f"{alarms.high:.1%}{_mark(alarms.is_certified)}",
    ]


def _mark(is_certified: bool) -> str:
    return "" if is_certified else " (estimate)"


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.quality.certify",
        description=__doc__.split("\n")[0],
        epilog=(
            f"With five errors a class is certified by {2 * trials_needed(5, 1 - RECALL)} spoiled "
            f"and {2 * trials_needed(5, FALSE_ALARMS)} good answers in both halves together."
        ),
    )
    parser.add_argument("--scores", type=Path, required=True, help="the scored answers, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="the thresholds to write")
    parser.add_argument(
        "--least",
        type=int,
        default=LEAST,
        help="spoiled and good answers that a class needs in either half (default: %(default)s)",
    )
    parser.add_argument(
        "--date",
        default=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        help="of the file (default: today)",
    )
    options = parser.parse_args(arguments)
    if options.least < 1:
        parser.error(f"--least is {options.least}; it must be 1 or more")
    try:
        datetime.date.fromisoformat(options.date)
    except ValueError:
        parser.error(f"--date is {options.date}; it must be a date such as 2026-11-30")
    return options


if __name__ == "__main__":
    main()
