"""A GPU in numpy behind the real `cuda.bindings.runtime`: memory with bounds, streams that work
late, graphs, a clock.

Every call goes to the real function first, which converts the arguments as it would on a GPU and
answers that there is none; the emulation then does what a GPU would. Work on a stream waits until
somebody synchronises, so what is read too early is wrong here as well."""

from __future__ import annotations

import ctypes
import itertools
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

from cuda.bindings import runtime

OK = runtime.cudaError_t.cudaSuccess
KINDS = runtime.cudaMemcpyKind
Work = Callable[[], None]


class Device:
    """What a test sets: `name`, `capability`, `bytes` of memory. What it looks at: `memory`,
    `graphs`, `launches`."""

    def __init__(self) -> None:
        self.name = "NVIDIA H200"
        self.capability = (9, 0)
        self.bytes = 1 << 30
        self.memory: dict[int, bytearray] = {}
        self.streams: dict[int, list[Work]] = {}
        self.captures: dict[int, list[Work]] = {}
        self.graphs: dict[int, list[Work]] = {}
        self.events: dict[int, float] = {}
        self.uploads = self.moves = self.launches = 0
        self.clock = 0.0  # milliseconds
        self._handles = itertools.count(1)
        self._next = 0x7F00_0000_0000

    # -- what the emulated TensorRT uses -----------------------------------------------------------

    def enqueue(self, stream: int, work: Work) -> None:
        (self.captures if stream in self.captures else self.streams)[stream].append(work)

    def view(self, address: int, size: int) -> memoryview:
        """`size` bytes of GPU memory; AssertionError when they are not all in one allocation."""
        for start, block in self.memory.items():
            if start <= address and address + size <= start + len(block):
                return memoryview(block)[address - start : address - start + size]
        raise AssertionError(f"{size} bytes at {address:#x} are not on the GPU")

    def _finish(self, stream: int) -> None:
        while self.streams[stream]:
            self.streams[stream].pop(0)()

    # -- the runtime's functions -------------------------------------------------------------------

    def cudaGetDevice(self) -> tuple:
        return OK, 0

    def cudaGetDeviceProperties(self, device: int) -> tuple:
        properties = runtime.cudaDeviceProp()
        properties.name = self.name.encode().ljust(256, b"\0")
        properties.major, properties.minor = self.capability
        return OK, properties

    def cudaMalloc(self, size: int) -> tuple:
        assert not self.captures, "memory was asked for while a stream was captured"
        if sum(map(len, self.memory.values())) + size > self.bytes:
            return runtime.cudaError_t.cudaErrorMemoryAllocation, 0
        address = self._next
        self._next = self._next + (size + 511) // 256 * 256
        self.memory[address] = bytearray(b"\xcc" * size)
        return OK, address

    def cudaFree(self, address: int) -> tuple:
        del self.memory[address]
        return (OK,)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple:
        assert flags == runtime.cudaStreamNonBlocking
        handle = next(self._handles)
        self.streams[handle] = []
        return OK, runtime.cudaStream_t(handle)

    def cudaStreamDestroy(self, stream: Any) -> tuple:
        del self.streams[int(stream)]
        return (OK,)

    def cudaStreamSynchronize(self, stream: Any) -> tuple:
        assert not self.captures
        self._finish(int(stream))
        return (OK,)

    def cudaMemcpyAsync(
        self, target: int, source: int, count: int, kind: Any, stream: Any
    ) -> tuple:
        if kind == KINDS.cudaMemcpyHostToDevice:
            self.uploads += 1
            content = ctypes.string_at(
                source, count
            )  # memory that is not pinned is read before the call returns
            self.enqueue(
                int(stream), lambda: self.view(target, count).__setitem__(slice(None), content)
            )
        elif kind == KINDS.cudaMemcpyDeviceToDevice:
            self.moves += 1
            self.enqueue(
                int(stream),
                lambda: self.view(target, count).__setitem__(
                    slice(None), bytes(self.view(source, count))
                ),
            )
        else:
            self.enqueue(
                int(stream), lambda: ctypes.memmove(target, bytes(self.view(source, count)), count)
            )
        return (OK,)

    def cudaMemcpy(self, target: int, source: int, count: int, kind: Any) -> tuple:
        assert kind == KINDS.cudaMemcpyDeviceToHost
        ctypes.memmove(target, bytes(self.view(source, count)), count)
        return (OK,)

    def cudaStreamBeginCapture(self, stream: Any, mode: Any) -> tuple:
        self.captures[int(stream)] = []
        return (OK,)

    def cudaStreamEndCapture(self, stream: Any) -> tuple:
        handle = next(self._handles)
        self.graphs[handle] = self.captures.pop(int(stream))
        return OK, runtime.cudaGraph_t(handle)

    def cudaGraphInstantiate(self, graph: Any, flags: int) -> tuple:
        handle = next(self._handles)
        self.graphs[handle] = list(self.graphs[int(graph)])
        return OK, runtime.cudaGraphExec_t(handle)

    def cudaGraphDestroy(self, graph: Any) -> tuple:
        del self.graphs[int(graph)]
        return (OK,)

    def cudaGraphExecDestroy(self, graph: Any) -> tuple:
        del self.graphs[int(graph)]
        return (OK,)

    def cudaGraphLaunch(self, graph: Any, stream: Any) -> tuple:
        self.launches += 1
        for work in self.graphs[int(graph)]:
            self.enqueue(int(stream), work)
        return (OK,)

    def cudaEventCreate(self) -> tuple:
        handle = next(self._handles)
        self.events[handle] = -1.0
        return OK, runtime.cudaEvent_t(handle)

    def cudaEventRecord(self, event: Any, stream: Any) -> tuple:
        self.enqueue(int(stream), lambda: self.events.__setitem__(int(event), self.clock))
        return (OK,)

    def cudaEventSynchronize(self, event: Any) -> tuple:
        for stream in self.streams:
            self._finish(stream)
        return (OK,)

    def cudaEventElapsedTime(self, start: Any, end: Any) -> tuple:
        return OK, self.events[int(end)] - self.events[int(start)]

    def cudaEventDestroy(self, event: Any) -> tuple:
        del self.events[int(event)]
        return (OK,)


class Runtime(ModuleType):
    """`cuda.bindings.runtime` with a device behind it."""

    def __init__(self, device: Device):
        super().__init__("cuda.bindings.runtime")
        self._device = device
        self._called = set()

    def __getattr__(self, name: str) -> Any:
        real = getattr(runtime, name)  # AttributeError where the bindings have no such name
        if isinstance(real, (type, int, str)) or name == "cudaGetErrorString":
            return real

        def call(*arguments: Any, **keywords: Any) -> tuple:
            status, *_ = real(*arguments, **keywords)
            assert status != OK, (
                "there is a GPU: hide it from these tests with CUDA_VISIBLE_DEVICES="
            )
            self._called.add(name)
            answer = getattr(self._device, name)(*arguments, **keywords)
            assert len(answer) == _results(real), (
                f"{name} answers {_results(real)} values, not {len(answer)}"
            )
            return answer

        call.__name__ = name
        return call


def _results(function: Any) -> int:
    """How many values a function answers, by its docstring."""
    indent, section = re.search(
        r"^( *)Returns\n *-+\n(.*?)(?:\n\n|\Z)", function.__doc__, re.S | re.M
    ).groups()
    return sum(not line.startswith(f"{indent} ") for line in section.splitlines())
