"""The page's own pieces of HTML. Whatever comes from outside is escaped here; styles are in
style.css."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from retouch_clients.shipped_checkpoint.abilities import behind
from retouch_clients.web import text
from retouch_clients.web.turns import Turn

HEADER = "<h1>Retouch</h1><p>Drop a picture, say what to change, and watch it happen.</p>"

WHOLE = "This checkpoint takes a sentence as a whole and names no operations."
NOTHING = "Nothing of this sentence was understood."


def status(sentence: str, kind: str = "") -> str:
    """A line that screen readers tell when it changes; `kind` is "", "busy" or "trouble"."""
    role = "alert" if kind == "trouble" else "status"
    return f'<div class="status {kind}" role="{role}">{escape(sentence)}</div>'


def refusal(sentence: str) -> str:
    """What is wrong with a dropped picture, above it. The status says the same to screen
    readers."""
    return f'<div class="status trouble">{escape(sentence)}</div>'


def abilities(sentences: str) -> str:
    """What the checkpoint can do, by the field for the sentence."""
    return f"<p>{escape(sentences)}</p>"


def account(turn: Turn | None) -> str:
    """All that is known of a turn: what was understood, where, by what it was made, and how long it
    took."""
    if turn is None or turn.info is None:
        return '<p class="empty">What was understood of a sentence, and the time of every stage, will stand here.</p>'
    understood = text.understood(turn.info.operations)
    told = understood or [NOTHING if behind(turn.info) else WHOLE]
    return (
        f"<h2>Understood</h2><ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in told)}</ul>"
        f"<p>{escape(text.extent(turn.info.region))}</p>"
        f"<h2>Made with</h2>{_figures(text.figures(turn.info))}"
        f"<h2>Time</h2>{_bars(text.times(turn.info))}"
    )


def legend() -> str:
    return (
        '<p class="legend"><span class="key allowed"></span>what may change&emsp;'
        '<span class="key target"></span>what the sentence speaks of</p>'
    )


def _figures(figures: Sequence[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in figures)}</dl>"


def _bars(times: Sequence[tuple[str, float]]) -> str:
    """The longest stage has the longest bar; the total, which is last, has none."""
    longest = max((spent for _, spent in times[:-1]), default=0) or 1
    bars = [f'<span style="width:{100 * spent / longest:.1f}%"></span>' for _, spent in times[:-1]]
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="bar">{bar}</td><td>{spent:.1f}&nbsp;ms</td></tr>'
        for (name, spent), bar in zip(times, [*bars, ""])
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("stage", "bar", "milliseconds"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
