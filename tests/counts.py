"""What a server's metrics page says of the denoisers."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable

import pytest

from retouch.launcher.server import HOST


def counted(url: str, name: str) -> float:
    """Of the page at `url`, over all its labels."""
    return sum(map(float, re.findall(rf"^{name}(?:{{.*}})? (\S+)$", _page(url), re.M)))


def page_of(server) -> str:
    return f"http://{HOST}:{server.metrics}/metrics"


def metrics(server) -> dict[str, float]:
    """Numbers of the lane bf16 by name."""
    samples = re.findall(r'^(retouch_\w+)\{lane="bf16"\} (\S+)$', _page(page_of(server)), re.M)
    return {name: float(value) for name, value in samples}


def settled(server) -> dict[str, float]:
    """The numbers, once all that has happened is in those of every lane: they are brought up to
    date every half second."""
    before = []
    for _ in range(20):
        after = re.findall("^retouch_.*$", _page(page_of(server)), re.M)
        if after == before:
            return metrics(server)
        before = after
        time.sleep(1.2)
    return pytest.fail(f"the numbers do not come to rest: {before}")


def cancelled_by(server, leave: Callable[[], None], times: int = 5) -> int:
    """How often an edit had to be left until a denoiser was told of it: a busy machine may be
    through with one before it hears, but not each time. Those that the tests before have left do
    not count."""
    settled(server)
    page = page_of(server)
    name = "retouch_denoiser_cancelled_total"
    before = counted(page, name)
    for turn in range(times):
        leave()
        settled(server)
        if counted(page, name) > before:
            return turn + 1
    return pytest.fail(f"no denoiser was told of any of {times} edits that were left")


def _page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as page:
        return page.read().decode()
