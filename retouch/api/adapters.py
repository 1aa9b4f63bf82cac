"""ADAPTER: the adapters of an edit with their scales, as `sketch` or `sketch:0.8,ink:0.5`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from retouch.api.checks import Range, quoted, refuse
from retouch.api.lanes import ADAPTER_NAME

MAX_ADAPTERS = 4  # of one edit
SCALE = Range(-4, 4)
ONE = r"[a-z0-9]+(-[a-z0-9]+)*(:-?([0-3](\.[0-9]+)?|4))?"
# of ADAPTER, as a document can say it: names are also unique and of a limited length
PATTERN = rf"^\s*$|^{ONE}(,{ONE}){{0,{MAX_ADAPTERS - 1}}}$"
DEFAULT_SCALE = 1.0

Adapters = tuple[tuple[str, float], ...]  # names and scales, sorted by name


def parse_adapters(text: str) -> Adapters:
    """Adapters by name, without those of scale 0, which change nothing; RequestError."""
    entries = [entry.strip() for entry in text.split(",")] if text.strip() else []
    if len(entries) > MAX_ADAPTERS:
        refuse("ADAPTER", f"names {len(entries)} adapters; at most {MAX_ADAPTERS} are allowed")
    scales: dict[str, float] = {}
    for entry in entries:
        name, scale = _parsed(entry)
        if name in scales:
            refuse("ADAPTER", f"names {name} twice; name it once, with one scale")
        scales[name] = scale
    return tuple(sorted((name, scale) for name, scale in scales.items() if scale))


def _parsed(entry: str) -> tuple[str, float]:
    """The name and the scale of one adapter; RequestError."""
    name, colon, number = (part.strip() for part in entry.partition(":"))
    if not re.fullmatch(ADAPTER_NAME, name):
        refuse(
            "ADAPTER",
            f"{quoted(name)} is no name of an adapter; it must be lower-case letters and digits, "
            "with single hyphens between, as sketch or sketch:0.8",
        )
    try:
        scale = float(number) if colon else DEFAULT_SCALE
    except ValueError:
        refuse("ADAPTER", f"{quoted(number)} is no scale; it must be a number, as sketch:0.8")
    SCALE("ADAPTER", scale, f"the scale of {name}")
    return name, scale


@dataclass(frozen=True)
class AdapterScales:
    """The check of ADAPTER."""

    allowed: str = f"up to {MAX_ADAPTERS} names with scales of {SCALE.allowed}, as sketch:0.8"

    def __call__(self, name: str, value: str) -> None:
        parse_adapters(value)
