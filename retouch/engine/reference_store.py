"""The keys and values of photos that are kept across edits, in two tiers: as the runner keeps them
and, behind that, in host memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import Any

from retouch.backends import kept_values
from retouch.backends.base import CACHED
from retouch.engine.cost_model import Cost
from retouch.families.denoise_request import Arrays
from retouch.util.content_cache import Cache, Counts, size_of

REFERENCE_BYTES = 64 << 20  # of keys and values that no running edit needs


@dataclass(frozen=True)
class Segment:
    """The keys and values of one photo and of the text before it."""

    arrays: dict[str, Any]

    @property
    def tokens(self) -> int:
        return self.arrays["k"].shape[kept_values.TOKENS]

    @property
    def nbytes(self) -> int:
        return size_of(self.arrays)

    @property
    def is_movable(self) -> bool:
        return all(map(kept_values.is_movable, self.arrays.values()))

    def on_host(self) -> Segment:
        return Segment({name: array.on_host() for name, array in self.arrays.items()})

    def on_device(self) -> Segment:
        return Segment({name: array.on_device() for name, array in self.arrays.items()})

    def wide(self) -> Arrays:
        """The arrays as the runner's graphs take them."""
        return {name: kept_values.wide(array) for name, array in self.arrays.items()}


class ReferenceStore:
    """Segments by key, at most `limit` bytes as the runner keeps them and `host_limit` in host
    memory. Those in `fp8` ("k", "v") are kept in E4M3.

    A segment that leaves the first tier goes to host memory, if it is on a device and by `cost` the
    copy there and back takes less time than a step of its tokens. A segment that is asked for again
    comes back. Thread-safe."""

    def __init__(
        self,
        limit: int = REFERENCE_BYTES,
        host_limit: int = 0,
        fp8: Collection[str] = (),
        cost: Cost | None = None,
    ):
        """ValueError when `fp8` names other arrays than keys and values."""
        if not set(fp8) <= set(CACHED):
            raise ValueError(f"reference_fp8 names {', '.join(fp8)}; it may name k and v")
        self.kept = Cache(limit, self._evicted)
        self.host = Cache(host_limit)
        self._fp8 = fp8
        self._cost = cost or Cost()

    @property
    def counts(self) -> Counts:
        """Those of the first tier."""
        return self.kept.counts

    def get(self, key: Hashable, compute: Callable[[], Arrays]) -> None:
        """Keep the segment of `key`, which `compute` computes if it is missing."""
        self.kept.get(key, lambda: self._segment(key, compute))

    def pin(self, key: Hashable, compute: Callable[[], Arrays]) -> Arrays:
        """The arrays of `key`, which stay until `unpin`."""
        return self.kept.pin(key, lambda: self._segment(key, compute)).wide()

    def unpin(self, key: Hashable) -> None:
        self.kept.unpin(key)

    def _segment(self, key: Hashable, compute: Callable[[], Arrays]) -> Segment:
        moved = self.host.pop(key)
        if moved is not None:
            return moved.on_device()
        arrays = compute()
        return Segment(arrays | {name: kept_values.in_fp8(arrays[name]) for name in self._fp8})

    def _evicted(self, key: Hashable, segment: Segment) -> None:
        """Move a segment to host memory where that pays."""
        if segment.nbytes > self.host.limit or not segment.is_movable:
            return
        there_and_back = 2 * self._cost.copy_seconds(segment.nbytes)
        if there_and_back < self._cost.seconds(1, segment.tokens, 0):
            self.host.get(key, segment.on_host)
