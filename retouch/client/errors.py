"""Errors that a client finds itself."""

from __future__ import annotations

from retouch.api.errors import RequestError


def ended_early() -> RequestError:
    """A stream without a last answer."""
    return RequestError("the stream has ended without a result", "INTERNAL")


def in_queue(failure: RequestError, deadline_ms: int) -> RequestError:
    """The failure of an edit with this deadline (0: none). Triton's queue, which keeps to the
    deadline, has an error of its own for it."""
    is_late = failure.code == "UNAVAILABLE" and failure.field == "DEADLINE_MS"
    if not deadline_ms or not is_late:
        return failure
    return RequestError(
        f"DEADLINE_MS {deadline_ms} has passed before the edit was begun; allow more time",
        "DEADLINE_EXCEEDED",
        field="DEADLINE_MS",
    )


def host_port(url: str) -> str:
    """The address as it is; RequestError when it is none."""
    host, _, port = url.rpartition(":")
    if not host or "/" in host or not (port.isascii() and port.isdigit()):
        raise RequestError(f"{url!r} is not an address; it must be host:port, as 127.0.0.1:8001")
    return url


def unreachable(url: str) -> RequestError:
    """Where no server answers."""
    return RequestError(
        f"no server answers at {url}; start one with `retouch serve`, or say where it is",
        "UNAVAILABLE",
    )


def too_late(seconds: float) -> RequestError:
    """At the end of a client's `timeout`."""
    return RequestError(
        f"no result within {seconds:g} s; allow more time or ask for fewer steps",
        "DEADLINE_EXCEEDED",
    )
