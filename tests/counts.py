"""What a server's metrics page says of the denoiser of the lane bf16."""

from __future__ import annotations

import re
import time
import urllib.request

import pytest

from retouch.server import HOST


def metrics(server):
    """Numbers of the lane bf16 by name."""
    with urllib.request.urlopen(f"http://{HOST}:{server.metrics}/metrics", timeout=5) as page:
        text = page.read().decode()
    return {name: float(value) for name, value in re.findall(r'^(retouch_\w+)\{lane="bf16"\} (\S+)$', text, re.M)}


def settled(server):
    """The numbers, once all that has happened is in them: they are brought up to date every half second."""
    before = metrics(server)
    for _ in range(20):
        time.sleep(1.2)
        after = metrics(server)
        if after == before:
            return after
        before = after
    return pytest.fail(f"the numbers do not come to rest: {before}")
