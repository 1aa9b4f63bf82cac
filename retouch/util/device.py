"""The device of RETOUCH_DEVICE: cpu, or a GPU by its number."""

from __future__ import annotations

import re
from dataclasses import dataclass

from retouch.util import env

CPU = "cpu"
CUDA = "cuda"


@dataclass(frozen=True)
class Device:
    """`kind` is cpu or cuda; `index` numbers the GPUs that the driver shows."""

    kind: str
    index: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == CPU else f"{self.kind}:{self.index}"


def parse(name: str) -> Device | None:
    """The device called cpu, cuda or cuda:N; None for an empty name. ValueError for others."""
    if not name:
        return None
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if match is None:
        raise ValueError(
            f"{env.DEVICE.name} is {name!r}; it must be cpu, cuda or cuda with a number, as cuda:1"
        )
    return Device(CPU) if name == CPU else Device(CUDA, int(match[1] or 0))
