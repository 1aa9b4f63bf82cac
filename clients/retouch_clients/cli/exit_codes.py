"""Exit codes of the commands."""

from __future__ import annotations

from enum import IntEnum

from retouch.api.errors import RequestError


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2  # as click defines it
    REFUSED = 3
    UNAVAILABLE = 4
    STOPPED = 130  # as shells report Ctrl-C


EPILOG = """\b
Exit codes:
    0  success
    1  failure
    2  usage error
    3  invalid request, or an instruction that is not understood
    4  no server, server at capacity, or deadline exceeded
  130  stopped (Ctrl-C)"""

_OF_CODE = {
    "INVALID_ARGUMENT": Exit.REFUSED,
    "INSTRUCTION_NOT_UNDERSTOOD": Exit.REFUSED,
    "UNAVAILABLE": Exit.UNAVAILABLE,
    "DEADLINE_EXCEEDED": Exit.UNAVAILABLE,
}


def exit_of(failure: Exception) -> Exit:
    """The exit code of a command that ended with `failure`."""
    if isinstance(failure, RequestError):
        return _OF_CODE.get(failure.code, Exit.FAILED)
    return Exit.FAILED
