"""Other processes: how they are started to be interrupted, and waiting for what they do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

# what stands before a command that a test sends Ctrl-C: a shell's background job ignores it, and
# its children would too. No preexec_fn in its place: a process that uses gRPC must not be forked
INTERRUPTIBLE = ("env", "--default-signal=INT")


def until(condition: Callable[[], Any], message: str, seconds: float = 20) -> None:
    """Until the condition holds; AssertionError with the words when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.1)
