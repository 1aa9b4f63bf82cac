"""The passes of each family's diffusion transformer as modules: what is exported, and what the torch runner runs.

Each answers what its graph does, in float32 but for keys and values, and names it in `outputs`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from retouch.passes import flux2, kontext, qwen_image_edit

# by the class of the network, and by the name of the graph: what makes the pass of a network and of a lane's settings
PASSES: dict[str, dict[str, Callable[[nn.Module, dict[str, Any]], nn.Module]]] = {
    "Flux2Transformer2DModel": {"reference": lambda network, settings: flux2.Reference(network),
                                "step": lambda network, settings: flux2.Step(network, settings["prediction"])},
    "FluxTransformer2DModel": {"step": lambda network, settings: kontext.Step(network)},
    "QwenImageTransformer2DModel": {"step": lambda network, settings: qwen_image_edit.Step(network)},
}
