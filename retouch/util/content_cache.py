"""A cache of values that are computed from images, by their content. It is bounded in bytes and
evicts the least recently used."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass
class Entry:
    """A cached `value` of so many `bytes`. It cannot be evicted while it is `pinned` (a count)."""

    value: Any
    bytes: int
    pinned: int = 0


@dataclass
class Counts:
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    bytes: int = 0
    entries: int = 0


class Cache:
    """Values by key. Unpinned values are evicted above `limit` bytes; 0 keeps only pinned ones.
    `on_evict` gets the key and the value of every evicted one. Thread-safe."""

    def __init__(self, limit: int, on_evict: Callable[[Hashable, Any], None] | None = None):
        self.limit = limit
        self._on_evict = on_evict
        self.counts = Counts()
        self._entries: OrderedDict[Hashable, Entry] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of `key`, computed by `make` if it is missing. Two threads that miss at once
        both compute it."""
        value = self.pin(key, make)
        self.unpin(key)
        return value

    def get_all(self, keys: Sequence[Key], make: Callable[[list[Key]], list[Value]]) -> list[Value]:
        """The values of `keys`; `make` computes those of the missing keys at once."""
        missing = [key for key in dict.fromkeys(keys) if key not in self]
        computed = dict(zip(missing, make(missing))) if missing else {}

        def value_of(key: Key) -> Value:
            return computed[key] if key in computed else make([key])[0]

        return [self.get(key, lambda key=key: value_of(key)) for key in keys]

    def pin(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """As `get`, but the value stays until `unpin`, which must be called once for every
        `pin`."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self.counts.hits += 1
                self._pin(key, entry)
                return entry.value
            self.counts.misses += 1
        value = make()
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = Entry(value, size_of(value))
                self.counts.bytes += entry.bytes
                self.counts.entries += 1
            self._pin(key, entry)
            evicted = self._shrink()
        self._notify(evicted)
        return entry.value

    def unpin(self, key: Hashable) -> None:
        with self._lock:
            self._entries[key].pinned -= 1
            evicted = self._shrink()
        self._notify(evicted)

    def pop(self, key: Hashable) -> Any:
        """Remove the value of `key` and return it; None where it is missing or pinned."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.pinned:
                return None
            del self._entries[key]
            self.counts.bytes -= entry.bytes
            self.counts.entries -= 1
            self.counts.hits += 1
            return entry.value

    def _pin(self, key: Hashable, entry: Entry) -> None:
        entry.pinned += 1
        self._entries.move_to_end(key)

    def make_room(self, size: int) -> bool:
        """Evict values until one of `size` bytes fits; whether it does beside the pinned ones."""
        with self._lock:
            evicted = self._shrink(self.limit - size)
            fits = self.counts.bytes + size <= self.limit
        self._notify(evicted)
        return fits

    def _shrink(self, limit: int | None = None) -> list[tuple[Hashable, Any]]:
        """Evict values until the others are within the limit; what was evicted."""
        limit = self.limit if limit is None else limit
        evicted = []
        for key in [key for key, entry in self._entries.items() if not entry.pinned]:
            if self.counts.bytes <= limit:
                break
            entry = self._entries.pop(key)
            self.counts.bytes -= entry.bytes
            self.counts.entries -= 1
            self.counts.evictions += 1
            evicted.append((key, entry.value))
        return evicted

    def _notify(self, evicted: list[tuple[Hashable, Any]]) -> None:
        """Without the lock: what is done with a value may take long."""
        if self._on_evict:
            for key, value in evicted:
                self._on_evict(key, value)


def key_of(*arrays: np.ndarray) -> str:
    """A key for the content, shapes and dtypes of arrays."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def size_of(value: Any) -> int:
    """`nbytes` of an array, or of all arrays in a dict, list or tuple."""
    if isinstance(value, dict):
        return sum(map(size_of, value.values()))
    if isinstance(value, (tuple, list)):
        return sum(map(size_of, value))
    return int(value.nbytes)
