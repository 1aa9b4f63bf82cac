"""GPU memory that grows: a tensor's buffer, and the scratch memory shared by all engines of the
process."""

from __future__ import annotations

import threading
import weakref

from retouch.backends.tensorrt.cuda import DeviceArray, Memory


class Buffer:
    """The largest memory that was reserved so far, and the kept array that was copied into it
    last."""

    def __init__(self) -> None:
        self._memory: Memory | None = None
        self._holds: weakref.ref | None = None

    @property
    def address(self) -> int:
        """The memory's address; 0 before the first `reserve`."""
        return self._memory.address if self._memory else 0

    def reserve(self, size: int) -> int:
        """The address of at least `size` bytes. The contents are lost when the memory grows."""
        if self._memory is None or self._memory.size < size:
            self.close()  # before the larger one is allocated: both might not fit
            self._memory = Memory(max(size, 1))
        return self._memory.address

    def holds(self, array: DeviceArray) -> bool:
        return self._holds is not None and self._holds() is array

    def hold(self, array: DeviceArray | None) -> None:
        self._holds = None if array is None else weakref.ref(array)

    def close(self) -> None:
        self.hold(None)
        if self._memory is not None:
            self._memory.close()
            self._memory = None


class Arena(Buffer):
    """Scratch memory for one run at a time, of any engine. Hold `lock` from `reserve` to the end of
    the run.

    An engine needs scratch memory only while it runs, so the largest need is enough for all.
    Executors `join` and `leave`; the memory is freed when the last has left."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.RLock()
        self._members = 0

    def join(self) -> None:
        with self.lock:
            self._members += 1

    def leave(self) -> None:
        with self.lock:
            self._members -= 1
            if not self._members:
                self.close()


ARENA = Arena()
