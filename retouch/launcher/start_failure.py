"""Why a start has failed, by the server's log. The first error in a log is often harmless."""

from __future__ import annotations

import re
from pathlib import Path

LONGEST = 200  # characters of a message of tritonserver
# log lines that look like errors and do not stop the server
HARMLESS = re.compile(
    r"CUDA driver version is insufficient|pinned system memory|CUDA memory pool|DCGM|^W\d{4} "
)
ERROR = re.compile(r"Failed to|rror:|^E\d{4} ")
CAUSES = (  # a pattern in a log and its meaning; the first match counts
    (
        re.compile(r"[Tt]oo many open files"),
        "this shell allows too few open files; allow more with `ulimit -n 1024`",
    ),
    (
        re.compile(
            r"[Aa]ddress already in use|Failed to bind|failed to start (HTTP|GRPC|Metrics)", re.I
        ),
        "one of its ports was taken by another program while it started; choose others",
    ),
    (
        re.compile(
            r"increase the shared memory pool|[Ff]ailed to initialize shared memory|"
            r"shm.*No space left"
        ),
        "its shared memory (/dev/shm) is full or too small; "
        "give it more room (containers: --shm-size=1g)",
    ),
    (re.compile(r"No space left on device"), "the disk or /dev/shm is full; make room"),
    (
        re.compile(r"Cannot allocate memory|std::bad_alloc|MemoryError|CUDA out of memory"),
        "there is too little memory for these models; end other programs, or export fewer lanes",
    ),
    (
        re.compile(
            r"no CUDA-capable device|no GPU|instance group .* (GPU|gpu)|Cuda GPU not available|"
            r"GPU instances not supported"
        ),
        "the models of this profile need an NVIDIA GPU, and the server finds none; "
        "use --profile cpu",
    ),
    (
        re.compile(r"Resource temporarily unavailable|can't start new thread|fork: retry"),
        "this user may start too few processes or threads; allow more with `ulimit -u`",
    ),
    (
        re.compile(
            r"stub process .* (not healthy|timed? ?out)|"
            r"[Tt]imed out occurred while waiting for the stub"
        ),
        "a model took too long to start, or its process died; "
        "the machine may be too busy or out of memory",
    ),
)


class ServerError(RuntimeError):
    """The server cannot start or has stopped; the message says why, if that is known."""


def cause(log: Path) -> str:
    """One sentence: the meaning of a known error, otherwise the first error in the log."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    lines = [line for line in text.splitlines() if not HARMLESS.search(line)]
    errors = [line for line in lines if ERROR.search(line)]
    for pattern, meaning in CAUSES:
        if any(map(pattern.search, lines)):
            return meaning
    sentence = (errors or lines[-1:] or ["it left no log"])[0].split("] ", 1)[-1].strip()
    return sentence if len(sentence) <= LONGEST else f"{sentence[:LONGEST]}…"
