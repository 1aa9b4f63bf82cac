"""What a server's error means: RequestError with a status, and when to come again.

Errors inside a stream carry a sentence alone, for tritonserver tells no code there
(`triton_grpc_error`, which would, crashes release 24.10 when a stream is cancelled). So the status
is read from the sentence, of which the server's own are few."""

from __future__ import annotations

import re

from retouch.api.errors import RequestError

HINT = re.compile(r"try again in (\d+(?:\.\d+)?) s")
STATUSES = (  # how a sentence begins, or what it holds, and what that means; the first that fits
    (HINT, "UNAVAILABLE"),
    (re.compile(r"^DEADLINE_MS( \S+)? (has passed|leaves|cannot be met)"), "DEADLINE_EXCEEDED"),
    # a server that stops; also its own words when a scheduler has stopped accepting requests
    (
        re.compile(
            r"[Ss]erver is (stopping|exiting|shutting down)|[Ss]erver not ready|(stopped|not) accepting new inference requests"
        ),
        "UNAVAILABLE",
    ),
    (
        re.compile(
            r"[Ee]xceeds? maximum queue size|[Uu]navailable|is not (ready|found)|unknown model|no available versions"
        ),
        "UNAVAILABLE",
    ),
    (re.compile(r"[Rr]equest timeout expired"), "UNAVAILABLE"),
    (
        re.compile(
            r"^the stream has ended|^the edit failed inside the server|[Ss]tub process|not healthy"
        ),
        "INTERNAL",
    ),
    (re.compile(r"^the client has left"), "CANCELLED"),
)
OF_HTTP = {
    400: "INVALID_ARGUMENT",
    404: "UNAVAILABLE",
    408: "DEADLINE_EXCEEDED",
    499: "CANCELLED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
FULL = re.compile(
    r"[Ff]ailed to increase the shared memory pool"
)  # Triton's own words name files of its own
FULL_WORDS = (
    "the server has too little shared memory for images of this size; give its /dev/shm more room (containers: "
    "--shm-size=1g), or send a smaller image"
)
BEFORE = re.compile(
    r"^(\[request id: [^]]*\] )?(in ensemble '[^']*', )?"
)  # what Triton puts before our words


def failure_of(message: str, told: str = "") -> RequestError:
    """Of a server's words; `told` is the status that came with them, empty or UNKNOWN where none
    did."""
    words = BEFORE.sub("", message or "").strip()
    if not words:
        words = "the server gave no reason"
        told = told or "INTERNAL"
    if FULL.search(words):
        words = FULL_WORDS
        told = "INTERNAL"
    # the words first: Triton has no code for a deadline, and HTTP answers 400 whatever ends a
    # stream
    status = next(
        (meant for pattern, meant in STATUSES if pattern.search(words)),
        told.removeprefix("StatusCode."),
    )
    hint = HINT.search(words)
    return RequestError(
        words,
        status if status not in ("", "UNKNOWN") else "INVALID_ARGUMENT",
        retry_after=float(hint[1]) if hint else None,
    )


def in_queue(failure: RequestError, deadline_ms: int) -> RequestError:
    """The failure of an edit with this deadline (0: none), which Triton's queue keeps to and has
    words of its own for."""
    if not deadline_ms or "equest timeout expired" not in str(failure):
        return failure
    return RequestError(
        f"DEADLINE_MS {deadline_ms} has passed before the edit was begun; allow more time",
        "DEADLINE_EXCEEDED",
    )


def host_port(url: str) -> str:
    """The address as it is; RequestError when it is none."""
    host, _, port = url.rpartition(":")
    if not host or "/" in host or not (port.isascii() and port.isdigit()):
        raise RequestError(f"{url!r} is not an address; it must be host:port, as 127.0.0.1:8001")
    return url


def nobody(url: str) -> RequestError:
    """Where no server answers."""
    return RequestError(
        f"no server answers at {url}; start one with `retouch serve`, or say where it is",
        "UNAVAILABLE",
    )


def too_late(seconds: float) -> RequestError:
    """When a client's patience ends."""
    return RequestError(
        f"no result within {seconds:g} s; allow more time or ask for fewer steps",
        "DEADLINE_EXCEEDED",
    )
