"""System shared memory: images reach a server on the same machine without a copy in a message.

A region is a file in /dev/shm. It loses its name as soon as the server has opened it, so that a
process that ends suddenly leaves no file behind. The server keeps a region until it is
unregistered or the server ends."""

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
FILES = tuple(field.name for field in FIELDS if field.is_file)  # inputs that hold images
LEAST = 1 << 20  # bytes of a region
GRACE = 1.0  # seconds after an edit was abandoned until the server no longer reads its inputs
PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)  # seconds before each attempt to unregister


class Region:
    """`size` bytes for the images of one edit at a time. `new`: no server has it yet; `lost`: its
    server has ended."""

    def __init__(self, size: int):
        self.name = f"retouch-{secrets.token_hex(8)}"
        self.size = size
        self.new = True
        self.lost = False
        self.free_at = 0.0
        self._end = 0
        self._memory = self._allocate()

    def _allocate(self) -> mmap.mmap:
        """The mapped file with all its bytes allocated: writing to a byte that is not ends the
        process (SIGBUS)."""
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
                f"{FOLDER} cannot hold {self.size:,} bytes more ({failure.strerror}); "
                "make it larger, or leave out shared_memory=True"
            ) from None

    @property
    def key(self) -> str:
        """The name for shm_open."""
        return f"/{self.name}"

    @contextlib.contextmanager
    def registering(self) -> Iterator[None]:
        """Context of the call that registers the region with a server; removes its name after."""
        try:
            yield
            self.new = False
        finally:
            (FOLDER / self.name).unlink()

    def failure(self, message: str, url: str) -> RequestError | None:
        """The RequestError of a tritonserver message about shared memory; None for others."""
        if is_form(RESTRICTED, message):
            return RequestError(
                f"the server at {url} lets only those use its shared memory who have its secret; "
                "pass secret=, or leave out shared_memory=True"
            )
        if is_form(CANNOT_OPEN, message):
            return RequestError(
                f"the server at {url} cannot open this machine's shared memory; "
                "leave out shared_memory=True where client and server are apart"
            )
        if is_form(REGION_UNKNOWN, message):  # another server has started since
            self.lost = True
            return RequestError(
                f"the server at {url} was started anew and has no shared memory yet", "UNAVAILABLE"
            )
        return None

    def clear(self) -> None:
        """Let the next edit write from the beginning."""
        self._end = 0

    def place(self, tensor: Any, content: Any) -> bool:
        """Append the only element of `tensor` and refer to it; returns False for inputs not in
        FILES.

        Triton's layout of an element is its length (uint32, little-endian), then its bytes."""
        if tensor.name() not in FILES:
            return False
        begin = self._end
        element = struct.pack("<I", len(content)) + content
        self._end = begin + len(element)
        self._memory[begin : self._end] = element
        tensor.set_shared_memory(self.name, len(element), begin)
        return True


class Regions:
    """The regions of a client of the server at `url`, lent to its edits. Thread-safe.

    `secret` is that of the server's start. None reads it from its file at every call, because the
    server may be restarted."""

    def __init__(self, url: str = "", secret: str | None = None):
        self._url = url
        self._secret = secret
        self._idle: list[Region] = []
        self._lock = threading.Lock()

    @property
    def headers(self) -> dict[str, str]:
        """Headers of calls that register or unregister a region."""
        return grpc_headers(secret_of(self._url) if self._secret is None else self._secret)

    def take(self, request: EditRequest) -> Region:
        """The smallest idle region that holds the images of an edit, or a new one."""
        values = request_to_values(request)
        size = sum(len(values[name]) + 4 for name in FILES)
        with self._lock:
            now = time.monotonic()
            fitting = [
                region for region in self._idle if region.size >= size and region.free_at <= now
            ]
            if fitting:
                region = min(fitting, key=lambda region: region.size)
                self._idle.remove(region)
                region.clear()
                return region
        return Region(max(LEAST, 1 << (size - 1).bit_length()))

    def give_back(self, region: Region, is_finished: bool) -> None:
        """Return a region after an edit that is finished or was abandoned."""
        if region.new or region.lost:  # no server has it
            return
        region.free_at = 0.0 if is_finished else time.monotonic() + GRACE
        with self._lock:
            self._idle.append(region)

    def to_unregister(self) -> Iterator[tuple[str, float]]:
        """Names of regions to unregister, and seconds to wait before each call.

        A server refuses while an abandoned edit still uses a region, so its name is repeated after
        ever longer pauses (PAUSES) until `unregistering` has succeeded. Then it is given up."""
        for pause in PAUSES:
            with self._lock:
                names = [region.name for region in self._idle]
            for index, name in enumerate(names):
                yield name, 0.0 if index else pause
        with self._lock:
            self._idle.clear()

    @contextlib.contextmanager
    def unregistering(self, name: str) -> Iterator[None]:
        """Context of the call that unregisters a region. Every error but "in use" means that the
        server has no such region, or has ended."""
        try:
            yield
        except InferenceServerException as failure:
            if is_form(REGION_IN_USE, failure.message() or ""):
                return
        with self._lock:
            self._idle = [region for region in self._idle if region.name != name]
