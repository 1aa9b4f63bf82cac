"""The report's figures as texts, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Sequence

from retouch_clients.feedback.agreement import Agreement

NOTHING = "–"
COLUMNS = (
    "lane",
    "evaluator",
    "feedback",
    "mean",
    "with a score",
    "good",
    "bad",
    "AUC (95 %)",
    "Spearman",
    "Brier",
    "Brier, calibrated",
)
SELECTED = (
    "People rate what they like to rate: these answers are no random sample of all. Without a "
    "random share that is reviewed, the recall of a threshold among all answers is not known."
)


def row_of(agreement: Agreement) -> list[str]:
    """The cells of COLUMNS."""
    auc = agreement.auc
    return [
        agreement.lane,
        agreement.evaluator or NOTHING,
        str(agreement.feedback),
        f"{agreement.mean:.2f}",
        str(agreement.labels),
        str(agreement.good),
        str(agreement.bad),
        f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})" if auc else NOTHING,
        _number(agreement.spearman),
        _number(agreement.brier),
        _number(agreement.brier_calibrated),
    ]


def notes_of(agreements: Sequence[Agreement]) -> list[str]:
    """Why figures are missing, by lane."""
    return [f"{entry.lane}: {note}." for entry in agreements for note in entry.notes]


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"
