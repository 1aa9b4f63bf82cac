"""Which stages keep their parameters in host memory between runs: RETOUCH_OFFLOAD."""

from __future__ import annotations

from retouch.util import env

TEXT = "text"
STAGES = {TEXT: ("vl_parser",)}
OFFLOADING = "torch"  # the runner that can bring parameters for a run
REPLACED = ("auto", OFFLOADING)  # runners that leave the choice, or are that one


def is_offloaded(stage: str, runner: str) -> bool:
    """Whether the environment offloads a stage; ValueError for an unknown value, or a stage with
    another runner."""
    value = env.OFFLOAD.get()
    if value and value not in STAGES:
        raise ValueError(f"{env.OFFLOAD.name} is {value!r}; it must be {TEXT}")
    if stage not in STAGES.get(value, ()):
        return False
    if runner not in REPLACED:
        raise ValueError(
            f"the runner {runner} cannot offload; "
            f"choose a profile that runs {stage} by auto or torch, such as gpu"
        )
    return True
