"""The passes of each family's diffusion transformer as modules: what is exported, and what the
torch runner runs.

Each answers what its graph does, in float32 but for keys and values, and names it in `outputs`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from retouch.networks import flux2_passes, flux_kontext, qwen_image

# by the class of the network, and by the name of the graph: what makes the pass of a network and of
# a lane's settings
PASSES: dict[str, dict[str, Callable[[nn.Module, dict[str, Any]], nn.Module]]] = {
    "Flux2Transformer2DModel": {
        "reference": lambda network, settings: flux2_passes.Reference(network),
        "step": lambda network, settings: flux2_passes.Step(network, settings["prediction"]),
    },
    "FluxTransformer2DModel": {"step": lambda network, settings: flux_kontext.Step(network)},
    "QwenImageTransformer2DModel": {"step": lambda network, settings: qwen_image.Step(network)},
}
