"""Triton's health endpoint."""

from __future__ import annotations

import urllib.error
import urllib.request

TIMEOUT_SECONDS = 5
# a proxy in the environment is for other machines
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def is_ready(host: str, port: int) -> bool:
    """Whether the server with this HTTP port has loaded all its models. `host` is as in a URL."""
    try:
        url = f"http://{host}:{port}/v2/health/ready"
        with _direct.open(url, timeout=TIMEOUT_SECONDS) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False
