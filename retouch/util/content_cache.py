"""What was computed from an image, kept by its content: bounded in bytes, the least recently used
goes first."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Entry:
    """A kept `value` of `bytes`; as long as somebody has it `pinned` it stays."""

    value: Any
    bytes: int
    pinned: int = 0


@dataclass
class Counts:
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    bytes: int = 0


class Cache:
    """Values by key. `limit` bytes hold but for what is pinned; 0 keeps only that."""

    def __init__(self, limit: int):
        self.limit = limit
        self.counts = Counts()
        self._entries: OrderedDict[Hashable, Entry] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of `key`, made when there is none; two threads that miss at once both make
        it."""
        value = self.pin(key, make)
        self.unpin(key)
        return value

    def pin(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """As `get`, and it stays until `unpin`, which must follow once for every `pin`."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self.counts.hits += 1
                return self._pinned(key, entry)
            self.counts.misses += 1
        value = make()
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = Entry(value, size_of(value))
                self.counts.bytes += entry.bytes
            return self._pinned(key, entry)

    def unpin(self, key: Hashable) -> None:
        with self._lock:
            self._entries[key].pinned -= 1
            self._shrink()

    def _pinned(self, key: Hashable, entry: Entry) -> Any:
        entry.pinned += 1
        self._entries.move_to_end(key)
        self._shrink()
        return entry.value

    def _shrink(self) -> None:
        for key in [key for key, entry in self._entries.items() if not entry.pinned]:
            if self.counts.bytes <= self.limit:
                return
            self.counts.bytes -= self._entries.pop(key).bytes
            self.counts.evictions += 1


def key_of(*arrays: np.ndarray) -> str:
    """A key for the content of arrays, their shapes and types included."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def size_of(value: Any) -> int:
    """`nbytes` of a value, or of all in a dict or a tuple."""
    if isinstance(value, dict):
        return sum(map(size_of, value.values()))
    if isinstance(value, (tuple, list)):
        return sum(map(size_of, value))
    return int(value.nbytes)
