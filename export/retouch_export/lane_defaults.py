"""A lane's own defaults: steps, guidance and noise levels of an edit that names none.

They are chosen by options of `retouch export`, or known of an adapter by its file's name. The
lane's manifest has them among its settings, and under `defaults` what was chosen. Imports no
torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retouch.api.fields import BY_NAME
from retouch.diffusion.sigmas import Schedule
from retouch.families.registry import family_of
from retouch_export.checkpoint_files import read_json

# the entries of a lane's settings, by the names of the options
SETTINGS = {
    "steps": "default_steps",
    "guidance": "default_guidance",
    "true_cfg": "default_true_cfg",
    "sigmas": "default_sigmas",
    "scheduler": "scheduler",
}
Chosen = dict[str, Any]
# Qwen-Image-Lightning was distilled at a fixed shift of 3: `scheduler_config` of
# generate_with_diffusers.py in ModelTC/Qwen-Image-Lightning
LIGHTNING_SCHEDULER = {
    "_class_name": "FlowMatchEulerDiscreteScheduler",
    "use_dynamic_shifting": True,
    "time_shift_type": "exponential",
    "base_shift": math.log(3),
    "max_shift": math.log(3),
    "base_image_seq_len": 256,
    "max_image_seq_len": 8192,
    "shift": 1.0,
    "shift_terminal": None,
    "num_train_timesteps": 1000,
}
LIGHTNING_FAMILY = "qwen-image-edit"
LIGHTNING = re.compile(r"lightning.*?(\d+) *[-_]?steps?", re.IGNORECASE)


@dataclass(frozen=True)
class LaneOptions:
    """The options of an export; None leaves a lane's default as it is, and 0 or nothing in a list
    goes back to the checkpoint's."""

    steps: int | None = None
    guidance: float | None = None
    true_cfg: float | None = None
    sigmas: tuple[float, ...] | None = None
    scheduler: Path | None = None

    def __post_init__(self) -> None:
        """ValueError for a number out of the limits of its request field."""
        for name in ("steps", "guidance", "true_cfg"):
            value = getattr(self, name)
            if value is not None:
                BY_NAME[name.upper()].check(f"--{name.replace('_', '-')}", value)
        _check_sigmas(self.sigmas or (), self.steps)

    def chosen(self) -> Chosen:
        """What is chosen, by the names of SETTINGS; CheckpointError, ValueError for a scheduler
        that is not supported."""
        values: Chosen = {
            name: getattr(self, name)
            for name in ("steps", "guidance", "true_cfg")
            if getattr(self, name) is not None
        }
        if self.sigmas is not None:
            values["sigmas"] = list(self.sigmas)
            values.setdefault("steps", len(self.sigmas))
        if self.scheduler is not None:
            values["scheduler"] = read_json(self.scheduler, self.scheduler.name)
            Schedule.of(values["scheduler"])
        return values


def known_of(adapter: str, family: str) -> Chosen:
    """What the name of an adapter's file says: `…Lightning-4steps…` is distilled to so many steps
    without guidance. Empty for any other."""
    match = LIGHTNING.search(adapter)
    if not match:
        return {}
    values: Chosen = {"steps": int(match[1]), "true_cfg": 1.0}
    return values | ({"scheduler": LIGHTNING_SCHEDULER} if family == LIGHTNING_FAMILY else {})


def merged(before: Mapping[str, Any], chosen: Chosen) -> Chosen:
    """What was chosen `before`, with what is chosen now; a 0 or an empty list leaves it out."""
    steps = chosen.get("steps", len(before.get("sigmas", ())))
    kept = {
        name: value
        for name, value in before.items()
        if name != "sigmas" or len(value) == steps  # they hold for their own number of steps
    }
    return {name: value for name, value in {**kept, **chosen}.items() if value}


def applied(family: str, settings: Mapping[str, Any], chosen: Chosen) -> dict[str, Any]:
    """A lane's settings, as its checkpoint has them, with its own defaults; ValueError for one that
    the family does not take."""
    if not chosen:
        return dict(settings)
    values = {SETTINGS[name]: value for name, value in chosen.items()}
    result = {**settings, **values, "defaults": chosen}
    lane = family_of(family, result)
    if "guidance" in chosen and lane.guidance is None:
        raise ValueError("--guidance is not known to this checkpoint; leave it out")
    if chosen.get("true_cfg", 1.0) > 1 and not lane.supports_negative:
        raise ValueError("--true-cfg above 1 is not known to this checkpoint; leave it out")
    return result


def chosen_text(chosen: Chosen) -> str:
    """What is chosen, for messages."""
    values = [
        name if isinstance(value, dict) else f"{name} {value}" for name, value in chosen.items()
    ]
    return ", ".join(values) or "the checkpoint's"


def _check_sigmas(sigmas: tuple[float, ...], steps: int | None) -> None:
    if not all(later < earlier for earlier, later in zip((math.inf, *sigmas), (*sigmas, 0.0))):
        raise ValueError("--sigmas must fall from number to number and be above 0")
    if sigmas and sigmas[0] > 1:
        raise ValueError("--sigmas begins above 1; noise levels are from 1 to 0, without the 0")
    if sigmas and steps not in (None, 0, len(sigmas)):
        raise ValueError(f"--sigmas has {len(sigmas)} numbers and --steps is {steps}")
