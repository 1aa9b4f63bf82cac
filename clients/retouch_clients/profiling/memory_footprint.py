"""Peak memory of a call."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


def memory_footprint(call: Callable[[], object]) -> int:
    """Bytes that `call` allocates at its peak, beyond what was allocated before.

    GPU memory if torch uses a GPU, else resident memory of this process; 0 if unknown.
    Writing to clear_refs (proc(5)) resets the kernel's record of the largest resident size.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.memory_allocated():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return torch.cuda.max_memory_allocated() - before
    try:
        RESET.write_text("5")
        before = _resident("VmRSS")
        call()
        return max(0, _resident("VmHWM") - before)
    except OSError:
        call()
        return 0


def _resident(name: str) -> int:
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
