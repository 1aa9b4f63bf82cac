"""Memory of a server and all its stubs."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from retouch.launcher.server import Server


@dataclass(frozen=True)
class Memory:
    """Bytes. `resident` counts a shared page in every process, `proportional` once in all."""

    processes: int
    resident: int
    proportional: int


def memory(server: Server) -> Memory:
    root = psutil.Process(server.process.pid)
    everyone = [root, *root.children(recursive=True)]
    memories = [process.memory_full_info() for process in everyone]
    return Memory(
        len(everyone), sum(used.rss for used in memories), sum(used.pss for used in memories)
    )


def resident(server: Server) -> int:
    root = psutil.Process(server.process.pid)
    return sum(process.memory_info().rss for process in (root, *root.children(recursive=True)))
