"""The report as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from html import escape

from retouch_clients.feedback.agreement import GOOD, Agreement
from retouch_clients.feedback.reliability_svg import reliability_svg
from retouch_clients.feedback.report_text import COLUMNS, SELECTED, notes_of, row_of

STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}
table{border-collapse:collapse}td,th{padding:.25rem .75rem;text-align:left}
th{border-bottom:1px solid #888}td{font-variant-numeric:tabular-nums}
.plots{display:flex;flex-wrap:wrap;gap:1rem}
.note{background:#fff4d6;color:#000;padding:.5rem .75rem}
"""


def report_page(
    agreements: Sequence[Agreement], counts: tuple[int, int], score: str, at: float
) -> str:
    """`counts` are the store's answers and feedbacks, `at` is in seconds since 1970."""
    day = datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    answers, feedback = counts
    plots = "".join(reliability_svg(entry) for entry in agreements if entry.bins)
    notes = "".join(f"<li>{escape(note)}</li>" for note in notes_of(agreements))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Retouch: feedback</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<h1>Feedback and scores</h1><p>{day}; {answers} answers, {feedback} feedbacks; "
        f"evaluator’s score: <code>{escape(score)}</code>; an answer is good from a feedback of "
        f"{GOOD:g} on.</p><p class=note>{escape(SELECTED)}</p>"
        f"{_table(agreements)}<ul>{notes}</ul><div class=plots>{plots}</div>"
        "<p>A circle stands for answers of similar scores, with their count; on the dashed line a "
        "score is the share of good answers. The other line is the isotonic calibration.</p></html>"
    )


def _table(agreements: Sequence[Agreement]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in COLUMNS)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row_of(entry))}</tr>"
        for entry in agreements
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
