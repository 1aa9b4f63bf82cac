"""The report of an evaluation: one HTML file that holds its pictures, and the same numbers as
JSON."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from retouch_clients.evaluation.answers import ANSWERED, STATUSES, Answers
from retouch_clients.evaluation.bradley_terry import Comparison, Outcome
from retouch_clients.evaluation.item import Item
from retouch_clients.evaluation.pictures import PictureError, thumbnail
from retouch_clients.evaluation.scoring import ENOUGH, Scores, Spread

STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}
table{border-collapse:collapse}td,th{padding:.25rem .75rem;text-align:left;vertical-align:top}
th{border-bottom:1px solid #888}td.n{text-align:right;font-variant-numeric:tabular-nums}
.item{border-top:1px solid #ccc;padding:.75rem 0}.item div{display:flex;flex-wrap:wrap;gap:.75rem}
figure{margin:0}figcaption{font-size:.8rem;max-width:14rem}img{display:block;max-width:14rem}
.note{background:#fff4d6;color:#000;padding:.5rem .75rem}"""


@dataclass(frozen=True)
class Shown:
    """An item in the report: pictures with captions, the source first."""

    item: Item
    pictures: Sequence[tuple[str, Path]]


@dataclass(frozen=True)
class Report:
    """What is reported. `facts` are pairs of a name and a text, `notes` are warnings."""

    title: str
    facts: Mapping[str, str]
    shown: Sequence[Shown]
    judge: str = ""
    repeats: int = 1
    answers: Answers = field(default_factory=Answers)
    scores: Scores = field(default_factory=Scores)
    comparisons: Sequence[Comparison] = ()
    outcomes: Sequence[Outcome] = ()
    notes: Sequence[str] = ()

    @property
    def judged_by(self) -> str:
        """The judge, the days of its answers and the repeats, as they stand beside each number."""
        days = sorted(self.answers.dates)
        span = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "no answer"
        served = sorted(self.answers.models - {self.judge})
        name = f"{self.judge} (served as {', '.join(served)})" if served else self.judge
        return f"{name}, {span}, {self.repeats} repeat{'s' if self.repeats != 1 else ''}"


def warnings(repeats: int, answers: Answers) -> list[str]:
    """What a reader of the numbers has to know."""
    result = []
    if repeats < ENOUGH:
        result.append(
            f"fewer than {ENOUGH} repeats ({repeats}): the figures have no reliable spread and "
            "should not be reported"
        )
    left_out = {name: answers.statuses[name] for name in STATUSES if name != ANSWERED}
    if any(left_out.values()):
        counts = ", ".join(f"{count} {name}" for name, count in left_out.items() if count)
        result.append(
            f"{counts} of {sum(answers.statuses.values())} answers: their pictures are left out of "
            "the figures"
        )
    return result


def as_json(report: Report) -> bytes:
    """All numbers, without pictures."""
    content: dict[str, Any] = {"suite": report.title, **report.facts, "notes": list(report.notes)}
    if report.judge:
        content["judge"] = {
            "model": report.judge,
            "served": sorted(report.answers.models),
            "dates": sorted(report.answers.dates),
            "repeats": report.repeats,
            "answers": {name: report.answers.statuses[name] for name in STATUSES},
        }
        content["figures"] = [_spread_json(spread) for spread in report.scores.figures]
        content["pictures"] = [
            {"method": method, "item": item, **scores}
            for (method, item), scores in report.scores.pictures.items()
        ]
    if report.comparisons:
        content["comparisons"] = [_comparison_json(comparison) for comparison in report.comparisons]
        content["outcomes"] = [vars(outcome) for outcome in report.outcomes]
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()


def as_html(report: Report) -> bytes:
    """The page. Pictures are inside it as small JPEG files."""
    return "".join(_page(report)).encode()


def _page(report: Report) -> Iterator[str]:
    title = html.escape(report.title)
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
    yield f"<style>{STYLE}</style><h1>{title}</h1>"
    yield from (f'<p class="note">{html.escape(note)}</p>' for note in report.notes)
    yield _table(("", ""), [[name, text] for name, text in report.facts.items()])
    if report.judge:
        yield f"<p>Judge: {html.escape(report.judged_by)}</p>"
        counts = [[name, report.answers.statuses[name]] for name in STATUSES]
        yield f"<h2>Answers</h2>{_table(('ended', 'questions'), counts)}"
    if report.scores.figures:
        yield f"<h2>Figures</h2>{_figures(report)}"
    if report.comparisons:
        yield f"<h2>Comparisons</h2>{_comparisons(report)}"
    yield "<h2>Pictures</h2>"
    for shown in report.shown:
        yield _item(shown, report)
    yield "</html>\n"


def _figures(report: Report) -> str:
    head = ("figure", "mean", "deviation", "least", "most", "pictures", "judge, date, repeats")
    rows = [
        [
            spread.name,
            f"{spread.mean:.2f}",
            "–" if spread.deviation is None else f"{spread.deviation:.2f}",
            f"{min(spread.values):.2f}",
            f"{max(spread.values):.2f}",
            " / ".join(map(str, spread.counts)),
            report.judged_by,
        ]
        for spread in report.scores.figures
    ]
    return _table(head, rows)


def _comparisons(report: Report) -> str:
    head = ("method", "wins", "ties", "losses", "share of wins", "Elo points", "judge")
    rows = [
        [
            comparison.method,
            comparison.wins,
            comparison.ties,
            comparison.losses,
            share_text(comparison),
            elo_text(comparison),
            report.judged_by,
        ]
        for comparison in report.comparisons
    ]
    return _table(head, rows)


def share_text(comparison: Comparison) -> str:
    """The share of wins with its interval, in percent."""
    share = comparison.share
    if math.isnan(share.value):
        return "–"
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"


def elo_text(comparison: Comparison) -> str:
    elo = comparison.elo
    if math.isnan(elo.low):
        return "–"
    return f"{elo.value:+.0f} ({elo.low:+.0f} to {elo.high:+.0f})"


def _item(shown: Shown, report: Report) -> str:
    figures = []
    for caption, path in shown.pictures:
        scores = report.scores.pictures.get((caption, shown.item.name), {})
        text = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
        figures.append(_figure(path, f"{caption}: {text}" if text else caption))
    won = [
        f"{outcome.first} against {outcome.second}: {outcome.winner or 'tie'}"
        for outcome in report.outcomes
        if outcome.item == shown.item.name
    ]
    texts = [shown.item.instruction, *won]
    lines = "<br>".join(html.escape(text) for text in texts)
    name = html.escape(shown.item.name)
    return (
        f'<section class="item"><b>{name}</b><p>{lines}</p><div>{"".join(figures)}</div></section>'
    )


def _figure(path: Path, caption: str) -> str:
    text = html.escape(caption)
    try:
        source = f"data:image/jpeg;base64,{_thumbnail(path)}"
    except PictureError as failure:
        return f"<figure><figcaption>{text}: {html.escape(str(failure))}</figcaption></figure>"
    return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'


@lru_cache(maxsize=64)  # one source may belong to several items
def _thumbnail(path: Path) -> str:
    return base64.b64encode(thumbnail(path)).decode()


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head) if any(head) else ""
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _cell(value: object) -> str:
    kind = ' class="n"' if isinstance(value, (int, float)) else ""
    return f"<td{kind}>{html.escape(str(value))}</td>"


def _spread_json(spread: Spread) -> dict[str, Any]:
    return {
        "name": spread.name,
        "mean": spread.mean,
        "deviation": spread.deviation,
        "values": list(spread.values),
        "pictures": list(spread.counts),
    }


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    def bounds(value: Any) -> list[float | None]:
        return [None if math.isnan(number) else number for number in vars(value).values()]

    return vars(comparison) | {"share": bounds(comparison.share), "elo": bounds(comparison.elo)}
