"""Milliseconds by stage as the header Server-Timing (W3C)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from retouch.api.response import EditInfo

HEADER = "Server-Timing"


def server_timing(milliseconds: Mapping[str, float]) -> str:
    """`preprocess;dur=1.2, vl_parser;dur=8.1, …`"""
    return ", ".join(f"{stage};dur={spent:g}" for stage, spent in milliseconds.items())


def slowest(infos: Iterable[EditInfo]) -> Mapping[str, float]:
    """The times of the slowest of several concurrent edits, which the response waited for."""
    return max((info.milliseconds for info in infos), key=lambda spent: spent.get("total", 0.0))
