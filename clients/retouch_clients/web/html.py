"""HTML fragments of the page. External text is escaped here; style.css has the styles."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from retouch_clients.shipped_checkpoint.abilities import behind
from retouch_clients.web import text
from retouch_clients.web.turns import Turn

HEADER = "<h1>Retouch</h1><p>Drop a picture, say what to change, and watch it happen.</p>"

NO_OPERATIONS = "This checkpoint does not report operations."
NOTHING = "Nothing of this sentence was understood."
ABILITIES = "What can I ask for?"


def status(sentence: str, kind: str = "") -> str:
    """A line that screen readers announce when it changes. `kind` is "", "busy", "hint" or
    "trouble"."""
    role = "alert" if kind in ("hint", "trouble") else "status"
    return f'<div class="status {kind}" role="{role}">{escape(sentence)}</div>'


def refusal(sentence: str) -> str:
    """The error of an uploaded image, shown above it. Screen readers get it from the status."""
    return f'<div class="status trouble">{escape(sentence)}</div>'


def abilities(sentences: str) -> str:
    """What the checkpoint can do, shown below the instruction."""
    return f"<details><summary>{ABILITIES}</summary><p>{escape(sentences)}</p></details>"


def details(turn: Turn | None) -> str:
    """A turn's operations, region, seed, steps, lane and milliseconds by stage."""
    if turn is None or turn.info is None:
        return (
            '<p class="empty">What was understood of the sentence and the time of every stage '
            "will appear here.</p>"
        )
    info = turn.info
    is_parsed = info.understood is not None or behind(info)
    items = text.understood(info.operations) or [NOTHING if is_parsed else NO_OPERATIONS]
    hint = f"<p>{escape(text.hint(info))}</p>" if info.hint else ""
    return (
        f"<h2>Understood</h2><ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>{hint}"
        f"<p>{escape(text.extent(turn.info.region))}</p>"
        f"<h2>Made with</h2>{_figures(text.figures(turn.info))}"
        f"<h2>Time</h2>{_bars(text.times(turn.info))}"
    )


def legend() -> str:
    return (
        '<p class="legend"><span class="key allowed"></span>what may change&emsp;'
        '<span class="key target"></span>what the sentence refers to</p>'
    )


def _figures(figures: Sequence[tuple[str, str]]) -> str:
    items = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in figures)
    return f"<dl>{''.join(items)}</dl>"


def _bars(times: Sequence[tuple[str, float]]) -> str:
    """A bar for each stage, scaled to the longest. The total, which is last, has no bar."""
    longest = max((spent for _, spent in times[:-1]), default=0) or 1
    bars = [f'<span style="width:{100 * spent / longest:.1f}%"></span>' for _, spent in times[:-1]]
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="bar">{bar}</td>'
        f"<td>{spent:.1f}&nbsp;ms</td></tr>"
        for (name, spent), bar in zip(times, [*bars, ""])
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("stage", "bar", "milliseconds"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
