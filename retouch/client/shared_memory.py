"""System shared memory: an edit's files reach a server on the same machine without a copy through a
message.

A region is a file in /dev/shm that loses its name as soon as the server has it open, so that a
process that ends suddenly leaves none behind. What the server has open it keeps until it is told,
or ends."""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tritonclient.utils import InferenceServerException

from retouch.api.errors import RequestError
from retouch.api.fields import FIELDS
from retouch.api.request import EditRequest, request_to_values
from retouch.api.triton_errors import (
    CANNOT_OPEN,
    REGION_IN_USE,
    REGION_UNKNOWN,
    RESTRICTED,
    is_form,
)
from retouch.launcher.secret import grpc_headers, secret_of

FOLDER = Path("/dev/shm")
FILES = tuple(field.name for field in FIELDS if field.is_file)  # the inputs that are worth it
LEAST = 1 << 20  # bytes
GRACE = 1.0  # seconds after an edit was left: the server has read its inputs by then, or never will
PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)  # seconds


class Region:
    """`size` bytes for the files of one edit at a time."""

    def __init__(self, size: int):
        self.name = f"retouch-{secrets.token_hex(8)}"
        self.size = size
        self.new = True
        self.lost = False
        self.free_at = 0.0
        self._end, self._memory = 0, self._made()

    def _made(self) -> mmap.mmap:
        """With all its bytes there: what is not, a write would end the process for (SIGBUS)."""
        path = FOLDER / self.name
        try:
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            try:
                os.posix_fallocate(file, 0, self.size)
                return mmap.mmap(file, self.size)
            finally:
                os.close(file)
        except OSError as failure:
            path.unlink(missing_ok=True)
            raise RequestError(
                f"{FOLDER} cannot hold {self.size:,} bytes more ({failure.strerror}); make it larger, or leave out "
                "shared_memory=True"
            ) from None

    @property
    def key(self) -> str:
        """As shm_open wants it."""
        return f"/{self.name}"

    @contextlib.contextmanager
    def handed_over(self) -> Iterator[None]:
        """While a server is told of it."""
        try:
            yield
            self.new = False
        finally:
            (FOLDER / self.name).unlink()

    def failure(self, message: str, url: str) -> RequestError | None:
        """What tritonserver's words mean, where they are of shared memory."""
        if is_form(RESTRICTED, message):
            return RequestError(
                f"the server at {url} lets only those use its shared memory who have its secret; pass secret=, or "
                "leave out shared_memory=True"
            )
        if is_form(CANNOT_OPEN, message):
            return RequestError(
                f"the server at {url} cannot open this machine's shared memory; leave out shared_memory=True "
                "where client and server are apart"
            )
        if is_form(REGION_UNKNOWN, message):  # it has ended since, and another has begun
            self.lost = True
            return RequestError(
                f"the server at {url} was started anew and has no shared memory yet", "UNAVAILABLE"
            )
        return None

    def clear(self) -> None:
        self._end = 0

    def placed(self, tensor: Any, content: Any) -> bool:
        """Whether it is one of FILES. Its one element lies behind those that are there: its length
        as Triton has it, then itself."""
        if tensor.name() not in FILES:
            return False
        begin = self._end
        element = struct.pack("<I", len(content)) + content
        self._end = begin + len(element)
        self._memory[begin : self._end] = element
        tensor.set_shared_memory(self.name, len(element), begin)
        return True


class Regions:
    """Those of a client of the server at `url`, lent to its edits; any thread may ask.

    `secret` is that of the server's start; None: that of its file, read anew each time, for a
    server may be started anew."""

    def __init__(self, url: str = "", secret: str | None = None):
        self._url = url
        self._secret = secret
        self._idle: list[Region] = []
        self._lock = threading.Lock()

    @property
    def headers(self) -> dict[str, str]:
        """What a call has to carry that tells the server of a region."""
        return grpc_headers(secret_of(self._url) if self._secret is None else self._secret)

    def take(self, request: EditRequest) -> Region:
        """One that holds the files among an edit's inputs."""
        values = request_to_values(request)
        wanted = sum(len(values[name]) + 4 for name in FILES)
        with self._lock:
            now = time.monotonic()
            fitting = [each for each in self._idle if each.size >= wanted and each.free_at <= now]
            if fitting:
                found = min(fitting, key=lambda each: each.size)
                self._idle.remove(found)
                found.clear()
                return found
        return Region(max(LEAST, 1 << (wanted - 1).bit_length()))

    def give(self, region: Region, over: bool) -> None:
        """Back, after an edit that is `over` or was left."""
        if region.new or region.lost:  # no server has it
            return
        region.free_at = 0.0 if over else time.monotonic() + GRACE
        with self._lock:
            self._idle.append(region)

    def leaving(self) -> Iterator[tuple[str, float]]:
        """Names that a server is to be told to forget, each after so many seconds; again and again,
        later each time, until it has `forgotten` them, for it refuses as long as an edit that was
        left still uses one. At last they are given up."""
        for pause in PAUSES:
            with self._lock:
                names = [each.name for each in self._idle]
            for turn, name in enumerate(names):
                yield name, 0.0 if turn else pause
        with self._lock:
            self._idle.clear()

    @contextlib.contextmanager
    def forgotten(self, name: str) -> Iterator[None]:
        """While a server is told; what it says but that it uses the region means that it has none,
        or is no more."""
        try:
            yield
        except InferenceServerException as failure:
            if is_form(REGION_IN_USE, failure.message() or ""):
                return
        with self._lock:
            self._idle = [each for each in self._idle if each.name != name]
