"""Runs an engine: copies tensors by name, picks the profile, and replays CUDA graphs.

A context and its graph belong to one set of shapes, as TensorRT wants it. The first run with new
shapes is plain, which lets TensorRT set itself up; the second is captured, every further one
replayed. Tensors have buffers of their own whose addresses stay, or else the graph is captured
again."""

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

MOST_GRAPHS = 8  # sets of shapes that are ready at once; the one not used for longest goes first


Given = np.ndarray | DeviceArray


@dataclass
class Ready:
    """A context, where its memory was when it last ran, and its graph once captured; `plain` where
    it cannot be."""

    context: Context
    addresses: tuple[int, ...] = ()
    warm: bool = False
    graph: Graph | None = None
    plain: bool = False


class Executor:
    """One engine on a stream of its own. It is a context manager; closing it frees its memory."""

    def __init__(self, engine: Engine, most_graphs: int = MOST_GRAPHS):
        self.engine = engine
        self._most = most_graphs
        self._stream = Stream()
        self._ready: OrderedDict[tuple, Ready] = OrderedDict()
        self._types = {**engine.inputs, **engine.outputs}
        self._buffers = {name: Buffer() for name in self._types}
        ARENA.join()
        self._leave = weakref.finalize(self, ARENA.leave)

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give all memory back; a second time is no error."""
        with ARENA.lock:
            self._ready.clear()
            for buffer in self._buffers.values():
                buffer.close()
            self._stream.close()
            self._leave()
            self.engine = None  # and with it the weights

    def run(
        self, inputs: Mapping[str, Given | list[Given]], keep: Collection[str] = ()
    ) -> dict[str, Given]:
        """Outputs by name: float32, integers or bool in numpy, and a DeviceArray for those in
        `keep`. An input that is a list of arrays is joined along the batch, on the GPU."""
        with ARENA.lock:
            ready = self._prepare(inputs)
            self._launch(ready)
            fetched = {
                name: self._fetch(name, shape, name in keep)
                for name, shape in ready.context.outputs.items()
            }
            self._stream.synchronize()
        return {name: value if name in keep else widened(value) for name, value in fetched.items()}

    def seconds(self, inputs: Mapping[str, Given | list[Given]]) -> float:
        """How long the GPU runs, without the copies."""
        with ARENA.lock:
            ready = self._prepare(inputs)
            return self._stream.seconds(lambda: self._launch(ready))

    def _prepare(self, inputs: Mapping[str, Given | list[Given]]) -> Ready:
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
        """Make room; what was captured with other addresses is worth nothing."""
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

    def _place(self, name: str, value: Given | list[Given]) -> None:
        """An input into its buffer, unless the same kept array lies there from the run before."""
        buffer = self._buffers[name]
        rows = value if isinstance(value, list) else [value]
        if len(rows) == 1 and isinstance(rows[0], DeviceArray) and buffer.holds(rows[0]):
            return
        address = buffer.address
        for row in rows:
            address += self._copy(row, self._types[name], address)
        buffer.hold(rows[0] if len(rows) == 1 and isinstance(rows[0], DeviceArray) else None)

    def _copy(self, value: Given, dtype: np.dtype, address: int) -> int:
        """The bytes that an array takes from `address` on."""
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
            except (
                RuntimeError
            ):  # not every plan can be captured; a plain run says what else is wrong
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


def _shape(value: Given | list[Given]) -> Shape:
    if not isinstance(value, list):
        return tuple(np.shape(value))
    return sum(np.shape(row)[0] for row in value), *np.shape(value[0])[1:]
