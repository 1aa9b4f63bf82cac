"""A network's parameters by its config alone, for a checkpoint without weights. Imports torch and
allocates no memory for them."""

from __future__ import annotations

from typing import Any

import torch

from retouch.networks.by_config import by_config, class_of
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.silence import quiet


def outline(library: str, kind: str, config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters of class `kind`, by name; shared ones appear once.

    CheckpointError when the library has no such class, or the config does not fit it."""
    network_class = class_of(library, kind)
    if network_class is None:
        raise CheckpointError(
            f"{library} has no {kind or 'class'} that is known here; "
            "it cannot be counted by its config"
        )
    try:
        with quiet(), torch.device("meta"):
            network = by_config(network_class, config)
    except Exception as failure:  # classes raise errors of any type for bad numbers
        message = (str(failure).splitlines() or [type(failure).__name__])[0]
        raise CheckpointError(
            f"{kind} cannot be made by its config.json: {message[:200]}"
        ) from None
    return {name: tuple(value.shape) for name, value in network.named_parameters()}
