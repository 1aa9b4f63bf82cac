"""The installed TensorRT as a test wants it, for the emulated classes in building.py and
running.py.

Classes and members there are named as the real ones, and `checked.Fakes` holds every call and
answer against those."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from device import Device


@dataclass
class World:
    """The installed TensorRT and its moods; plans keep those they were built in.

    `widened` names the layers that are built wide, `noise` is added to outputs, a run takes
    `milliseconds`, weights take `weight_share` of their bytes in the graph, `phases` (name, parent,
    steps) are what the builder reports."""

    real: ModuleType
    device: Device
    kinds: tuple[type, ...]
    widened: tuple[str, ...] = ()
    noise: float = 0.0
    milliseconds: float = 1.0
    weight_share: float = 1.0
    phases: tuple[tuple[str, str, int], ...] = (("Building", "", 3), ("Tactics", "Building", 2))
    fails: bool = False
    steps: int = 0  # that the builder took
    timings: list[bytes] = field(default_factory=list)  # the timing caches that builds started with
    alive: int = 0  # execution contexts

    @property
    def version(self) -> str:
        return self.real.__version__

    @property
    def eleven(self) -> bool:
        return self.version.startswith("11.")

    def new(self, name: str, *arguments: Any) -> Any:
        return self.classes[name](*arguments)

    def __post_init__(self) -> None:
        """The classes, bound to this world."""
        self.classes = {
            kind.__name__: type(kind.__name__, (kind,), {"world": self}) for kind in self.kinds
        }

    def complain(self, logger: Any, message: str) -> None:
        logger.log(self.real.ILogger.Severity.ERROR, message)


class Emulated:
    world: World
