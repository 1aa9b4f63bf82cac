"""What each stage took, as the header Server-Timing (W3C) tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from retouch.api.response import EditInfo

HEADER = "Server-Timing"


def server_timing(milliseconds: Mapping[str, float]) -> str:
    """`preprocess;dur=1.2, vl_parser;dur=8.1, …`"""
    return ", ".join(f"{stage};dur={spent:g}" for stage, spent in milliseconds.items())


def slowest(infos: Iterable[EditInfo]) -> Mapping[str, float]:
    """Of edits that ran side by side, that which the answer waited for."""
    return max((info.milliseconds for info in infos), key=lambda spent: spent.get("total", 0.0))
