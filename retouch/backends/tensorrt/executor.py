"""Runs an engine: copies tensors by name, chooses the profile, and replays CUDA graphs.

A context and its graph have one set of shapes, as TensorRT requires. The first run with new shapes
is plain, in which TensorRT initialises itself. The second is captured, all others are replayed.
When the address of a tensor's buffer changes, the graph is captured again."""

from __future__ import annotations

import math
import weakref
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from retouch.backends.tensorrt.arena import ARENA, Buffer
from retouch.backends.tensorrt.cuda import DeviceArray, Graph, Stream, widened
from retouch.backends.tensorrt.engine import Context, Engine, Shape

MOST_GRAPHS = 8  # sets of shapes; the least recently used one is dropped first


Input = np.ndarray | DeviceArray


@dataclass
class Ready:
    """A context, the addresses of its memory in the last run, and its graph once captured. `plain`
    where it cannot be captured."""

    context: Context
    addresses: tuple[int, ...] = ()
    warm: bool = False
    graph: Graph | None = None
    plain: bool = False


class Executor:
    """One engine on a stream of its own. As a context manager it is closed, which frees its
    memory."""

    def __init__(self, engine: Engine, most_graphs: int = MOST_GRAPHS):
        self._engine: Engine | None = engine
        self._most = most_graphs
        self._stream = Stream()
        self._ready: OrderedDict[tuple, Ready] = OrderedDict()
        self._types = {**engine.inputs, **engine.outputs}
        self._buffers = {name: Buffer() for name in self._types}
        ARENA.join()
        self._leave = weakref.finalize(self, ARENA.leave)

    @property
    def engine(self) -> Engine:
        """ValueError after `close`."""
        if self._engine is None:
            raise ValueError("the executor is closed")
        return self._engine

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free all memory; a second call has no effect."""
        with ARENA.lock:
            self._ready.clear()
            for buffer in self._buffers.values():
                buffer.close()
            self._stream.close()
            self._leave()
            self._engine = None  # and with it the weights

    def run(
        self, inputs: Mapping[str, Input | list[Input]], keep: Collection[str] = ()
    ) -> dict[str, Input]:
        """Outputs by name: numpy arrays of float32, integers or bool, and a DeviceArray for those
        in `keep`. An input that is a list of arrays is concatenated along the batch, on the GPU."""
        with ARENA.lock:
            ready = self._prepare(inputs)
            self._launch(ready)
            fetched = {
                name: self._fetch(name, shape, name in keep)
                for name, shape in ready.context.outputs.items()
            }
            self._stream.synchronize()
        return {
            name: value if isinstance(value, DeviceArray) else widened(value)
            for name, value in fetched.items()
        }

    def seconds(self, inputs: Mapping[str, Input | list[Input]]) -> float:
        """The GPU's time for a run, without copies."""
        with ARENA.lock:
            ready = self._prepare(inputs)
            return self._stream.seconds(lambda: self._launch(ready))

    def _prepare(self, inputs: Mapping[str, Input | list[Input]]) -> Ready:
        """The context for these shapes, bound to its memory, with the inputs on the GPU."""
        if set(inputs) != set(self.engine.inputs):
            raise ValueError(
                f"{self.engine.name} takes {', '.join(self.engine.inputs)}; it got "
                f"{', '.join(inputs) or 'nothing'}"
            )
        shapes = {name: _shape(inputs[name]) for name in self.engine.inputs}
        ready = self._ready_for(shapes)
        self._bind(ready, shapes)
        for name in self.engine.inputs:
            self._place(name, inputs[name])
        return ready

    def _ready_for(self, shapes: dict[str, Shape]) -> Ready:
        profile = self.engine.profile_of(shapes)
        key = profile, *shapes.values()
        if key not in self._ready:
            while len(self._ready) >= self._most:
                self._ready.popitem(last=False)
            self._ready[key] = Ready(self.engine.context(profile, shapes, self._stream))
        self._ready.move_to_end(key)
        return self._ready[key]

    def _bind(self, ready: Ready, shapes: dict[str, Shape]) -> None:
        """Reserve the memory; a graph that was captured with other addresses is dropped."""
        room = {
            name: self._buffers[name].reserve(math.prod(shape) * self._types[name].itemsize)
            for name, shape in {**shapes, **ready.context.outputs}.items()
        }
        scratch = ARENA.reserve(ready.context.need)
        if ready.addresses != (scratch, *room.values()):
            ready.graph = None
            ready.warm = False
            ready.context.bind(scratch, room)
            ready.addresses = scratch, *room.values()

    def _place(self, name: str, value: Input | list[Input]) -> None:
        """Copy an input into its buffer, unless it holds that kept array since the run before."""
        buffer = self._buffers[name]
        rows = value if isinstance(value, list) else [value]
        if len(rows) == 1 and isinstance(rows[0], DeviceArray) and buffer.holds(rows[0]):
            return
        address = buffer.address
        for row in rows:
            address += self._copy(row, self._types[name], address)
        buffer.hold(rows[0] if len(rows) == 1 and isinstance(rows[0], DeviceArray) else None)

    def _copy(self, value: Input, dtype: np.dtype, address: int) -> int:
        """Copy an array to `address`; returns its bytes."""
        if isinstance(value, DeviceArray) and value.dtype == dtype:
            self._stream.move(value.memory.address, address, value.nbytes)
            return value.nbytes
        host = np.ascontiguousarray(np.asarray(value).astype(dtype, copy=False))
        self._stream.upload(host, address)
        return host.nbytes

    def _launch(self, ready: Ready) -> None:
        if ready.warm and ready.graph is None and not ready.plain:
            try:
                ready.graph = self._stream.capture(lambda: ready.context.enqueue(self._stream))
            except RuntimeError:  # not all plans can be captured; a plain run finds other errors
                ready.plain = True
        if ready.graph is not None:
            self._stream.launch(ready.graph)
        else:
            ready.context.enqueue(self._stream)
            ready.warm = True

    def _fetch(self, name: str, shape: Shape, stays: bool) -> np.ndarray | DeviceArray:
        dtype = self._types[name]
        address = self._buffers[name].address
        if stays:
            kept = DeviceArray(shape, dtype)
            self._stream.move(address, kept.memory.address, kept.nbytes)
            return kept
        host = np.empty(shape, dtype)
        self._stream.download(address, host)
        return host


def _shape(value: Input | list[Input]) -> Shape:
    if not isinstance(value, list):
        return tuple(np.shape(value))
    return sum(np.shape(row)[0] for row in value), *np.shape(value[0])[1:]
