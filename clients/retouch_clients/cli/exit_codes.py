"""How commands end: their exit codes."""

from __future__ import annotations

from enum import IntEnum

from retouch.api.errors import RequestError


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2  # click's own
    REFUSED = 3
    UNAVAILABLE = 4
    STOPPED = 130  # as shells say it of Ctrl-C


EPILOG = """\b
Exit codes:
    0  done
    1  failed
    2  the command was called wrongly
    3  refused: what was asked for is not allowed
    4  no server, a busy one, or too late
  130  stopped (Ctrl-C)"""

_OF_STATUS = {
    "INVALID_ARGUMENT": Exit.REFUSED,
    "UNAVAILABLE": Exit.UNAVAILABLE,
    "DEADLINE_EXCEEDED": Exit.UNAVAILABLE,
}


def exit_of(failure: Exception) -> Exit:
    """The code of a command that ended with `failure`."""
    return (
        _OF_STATUS.get(failure.code, Exit.FAILED)
        if isinstance(failure, RequestError)
        else Exit.FAILED
    )
