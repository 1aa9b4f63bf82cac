"""Lanes of a profile that cannot run on the machine although others can: they are left out."""

from __future__ import annotations

import logging
from pathlib import Path

from retouch.artifacts.typed_folder import DENOISER
from retouch.launcher.part_checks import AUTO, check_device, runner_of
from retouch.launcher.placements import Placement, placements
from retouch.launcher.start_failure import ServerError
from retouch.util.device import Device
from retouch.util.gpu_machine import GpuMachine

log = logging.getLogger(__name__)


def leave_out_lanes(
    repository: Path, profile: str, models: list[str], machine: GpuMachine
) -> set[str]:
    """The denoisers that are not to be loaded, one logged sentence for each; none where no lane can
    run. ServerError for a device that does not exist.

    Only lanes whose runner is `auto` are left out. Another runner was asked for by name."""
    reasons = _obstacles(repository, profile, models, machine)
    if len(reasons) == sum(name.startswith(DENOISER) for name in models):
        return set()
    for model, reason in reasons.items():
        log.warning("the lane %s is left out: %s", model.removeprefix(DENOISER), reason)
    return set(reasons)


def _obstacles(
    repository: Path, profile: str, models: list[str], machine: GpuMachine
) -> dict[str, str]:
    """Why lanes cannot run, by the names of their denoisers."""
    parts = placements(repository, profile, models)
    device = check_device([part for part in parts if part.may_use_gpu], machine)
    reasons = {}
    for model in [part.model for part in parts if _is_automatic_lane(part)]:
        others = placements(repository, profile, [name for name in models if name != model])
        reason = _obstacle([part for part in parts if part not in others], machine, device)
        if reason:
            reasons[model] = reason
    return reasons


def _is_automatic_lane(part: Placement) -> bool:
    return part.model.startswith(DENOISER) and part.runner == AUTO and part.may_use_gpu


def _obstacle(parts: list[Placement], machine: GpuMachine, device: Device | None) -> str:
    """Why the first of these parts cannot run; empty when all can."""
    for part in parts:
        try:
            runner_of(part, machine, device)
        except ServerError as failure:
            return str(failure)
    return ""
