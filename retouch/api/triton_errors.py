"""Errors as they arrive from a server: Retouch's by their part for machines, tritonserver's own by
the forms that release 2.51 gives them, all others by their status.

This is the only place that reads tritonserver's sentences."""

from __future__ import annotations

import re

from retouch.api.errors import Code, RequestError
from retouch.api.fields import FIELDS

WRAPPING = re.compile(r"(\[request id: .*?\] )?(in ensemble '[^']*', )?")  # before any error
NO_REASON = "the server gave no reason"
NO_MEMORY = (
    "the server has too little shared memory for images of this size; give its /dev/shm more room "
    "(containers: --shm-size=1g), or send a smaller image"
)


def form(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)


# shared memory; `is_form` tests for one
RESTRICTED = form(r".*This protocol is restricted, expecting header '.*")
CANNOT_OPEN = form(r".*Unable to open shared memory region: '.*")
REGION_UNKNOWN = form(r".*Unable to find shared memory region: '.*")
REGION_IN_USE = form(r".*[Ss]hared memory region '.*', it is currently in use\.?")

QUEUE_TIMEOUT = form(r"Request timeout expired\.?")
STUB_MEMORY = form(r".*Failed to increase the shared memory pool size for key '.*")
FORMS: tuple[tuple[re.Pattern[str], Code], ...] = (
    (form(r"Exceeds maximum queue size\.?"), "UNAVAILABLE"),
    (
        form(
            r"Server is stopping, scheduler for model .*"
            r"has stopped accepting new inference requests"
        ),
        "UNAVAILABLE",
    ),
    (form(r"Server is stopping to serve requests\.?"), "UNAVAILABLE"),
    (form(r"(GRPC )?[Ss]erver is shutting down and has stopped accepting .*"), "UNAVAILABLE"),
    (form(r"Server not ready\.?"), "UNAVAILABLE"),
    (form(r"[Ss]erver exiting\.?"), "UNAVAILABLE"),
    (form(r"Request for unknown model ?: .*"), "UNAVAILABLE"),  # it may be loading
    (form(r"Model '.*' is not ready\.?"), "UNAVAILABLE"),
    (form(r"Failed to process the request\(s\) for model instance '.*"), "INTERNAL"),
    (form(r"(Stub process|Model instance) '.*' is not healthy\.?"), "INTERNAL"),
    (form(r"Stub process is not healthy\.?"), "INTERNAL"),
)
NAME = r"'(?P<field>[A-Z][A-Z0-9_]*)'"
FIELD_FORMS = (  # inputs that do not fit a model's config
    form(rf"unexpected shape for input {NAME} for model .*"),
    form(rf"unexpected inference input {NAME} for model .*"),
    form(rf"unexpected total byte size .* for input {NAME}.*"),
    form(rf"inference input {NAME} data-type is .*"),
    form(rf"input {NAME} (for model .* )?(batch size does not match|has ).*"),
    form(rf"expected .* but got .* missing required input\(s\) \[{NAME}.*"),
    form(rf"[^']*for inference input {NAME}.*"),
    form(rf"Unable to parse {NAME}.*"),
)
CONNECTION = form(r".*([Cc]onnect|Socket closed|GOAWAY|recvmsg).*")  # gRPC's library, not a server

STATUSES: dict[str, Code] = {  # gRPC's, where they differ from ours
    "": "INVALID_ARGUMENT",
    "UNKNOWN": "INVALID_ARGUMENT",  # every error of a stream
    "NOT_FOUND": "UNAVAILABLE",  # a model that is not loaded
    "INVALID_ARGUMENT": "INVALID_ARGUMENT",
    "ALREADY_EXISTS": "INVALID_ARGUMENT",
    "OUT_OF_RANGE": "INVALID_ARGUMENT",
    "RESOURCE_EXHAUSTED": "INVALID_ARGUMENT",  # a message above the limit
    "UNIMPLEMENTED": "INVALID_ARGUMENT",
    "UNAVAILABLE": "UNAVAILABLE",
    "DEADLINE_EXCEEDED": "DEADLINE_EXCEEDED",
    "CANCELLED": "CANCELLED",
}
HTTP_STATUSES = {
    400: "INVALID_ARGUMENT",
    404: "UNAVAILABLE",
    408: "DEADLINE_EXCEEDED",
    499: "CANCELLED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def read_error(text: str, status: str = "") -> RequestError:
    """The error behind a server's text. `status` is gRPC's name of the status that came with it,
    empty where none did. It counts where the text is of no known form: Triton has no status for a
    deadline, and a stream over HTTP always ends with 400."""
    status = status.removeprefix("StatusCode.")
    sentence = unwrapped(text)
    if not sentence:
        return RequestError(NO_REASON, STATUSES.get(status or "INTERNAL", "INTERNAL"))
    known = known_error(sentence)
    return known or RequestError(sentence, STATUSES.get(status, "INTERNAL"))


def known_error(text: str) -> RequestError | None:
    """The same, None where the text is neither ours nor of a known form."""
    sentence = unwrapped(text)
    ours = from_retouch(text)
    if ours is not None:
        return ours
    if STUB_MEMORY.fullmatch(sentence):
        return RequestError(NO_MEMORY, "INTERNAL")
    if QUEUE_TIMEOUT.fullmatch(sentence):
        return RequestError(sentence, "UNAVAILABLE", field="DEADLINE_MS")
    for pattern, code in FORMS:
        if pattern.fullmatch(sentence):
            return RequestError(sentence, code)
    for pattern in FIELD_FORMS:
        match = pattern.fullmatch(sentence)
        if match is not None:
            is_field = match["field"] in {tensor.name for tensor in FIELDS}
            return RequestError(sentence, field=match["field"] if is_field else None)
    return None


def from_retouch(text: str) -> RequestError | None:
    """The error in a text of Retouch's; None for tritonserver's own."""
    return RequestError.from_text(unwrapped(text))


def unwrapped(text: str) -> str:
    """The text without what Triton puts before it."""
    return WRAPPING.sub("", text or "", count=1).strip()


def is_form(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.fullmatch(unwrapped(text)) is not None


def is_unreachable(text: str, status: str) -> bool:
    """Whether gRPC's own library says that nothing answers, or that a connection has ended."""
    return (
        status.removeprefix("StatusCode.") == "UNAVAILABLE"
        and known_error(text) is None
        and is_form(CONNECTION, text)
    )
