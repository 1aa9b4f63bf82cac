"""The torch module that a graph was traced from, made by its manifest, with the graph's parameters.

Parameters are bfloat16 on a GPU and wherever the graph is typed, and float32 for a float32 graph on
the CPU. Everywhere float32 are buffers (statistics of latents), components that the passes name in
WIDE, and, within torch's kernels, the sums of norms, softmax and products."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from retouch.artifacts.manifest import FLOAT32, ArtifactError, Manifest
from retouch.backends.onnx_parameters import Fp8, Parameters
from retouch.networks.by_config import by_config, class_of
from retouch.networks.fp8_linear import Fp8Linear

TYPED = torch.bfloat16
OURS = "retouch.networks."  # a manifest names no other package's modules

Networks = dict[str, nn.Module]
Owner = tuple[str, str]  # a component, and a parameter's name in it

# graphs of one folder share the tensors that their networks have in common, as long as one lives
_shared: WeakValueDictionary[tuple, Tensor] = WeakValueDictionary()


def module_of(
    path: Path, manifest: Manifest, device: torch.device, home: torch.device | None = None
) -> nn.Module:
    """The module of the graph in `path`, in the types of `device`; ArtifactError. Its parameters
    lie on `home`, by default the same device."""
    passes = _passes(manifest.settings.get("passes", ""))
    graph_pass = getattr(passes, "PASSES", {}).get(path.stem)
    if graph_pass is None or "networks" not in manifest.settings:
        raise _undescribed(path)
    dtype = dtype_of(manifest, device)
    with torch.device("meta"):
        networks = _networks(path, manifest.settings["networks"])
        for name, network in networks.items():
            if name not in getattr(passes, "WIDE", ()):
                nn.Module.to(network, dtype)  # diffusers' own warns
        owners = {
            id(parameter): (component, name)
            for component, network in networks.items()
            for name, parameter in network.named_parameters()
        }
        module = graph_pass(networks, manifest.settings)
    loader = _Loader(path, manifest, home or device, owners)
    loader.fill(module)
    return module.eval().requires_grad_(False)


def dtype_of(manifest: Manifest, device: torch.device) -> torch.dtype:
    """The type of the parameters on `device`."""
    is_wide = manifest.arithmetic == FLOAT32 and device.type == "cpu"
    return torch.float32 if is_wide else TYPED


class _Loader:
    """Gives a module on the device meta the parameters and buffers that its graph uses."""

    def __init__(
        self, path: Path, manifest: Manifest, device: torch.device, owners: dict[int, Owner]
    ):
        self._path = path
        self._parameters = Parameters(path, device)
        self._owners = owners
        # another export into the same folder has other files
        self._key = (path.parent.resolve(), tuple(sorted(manifest.files.items())), str(device))

    def fill(self, module: nn.Module) -> None:
        """ArtifactError for a graph with layers that torch cannot multiply."""
        tensors = _by_tensor(module)
        names = [name for group in tensors for name in group]
        unknown = self._parameters.unknown(names)
        if unknown:
            raise ArtifactError(
                f"{self._path.name} holds {unknown[0]}, which the torch runner cannot multiply; "
                "it runs bf16 and fp8, for fp4 choose the runner tensorrt or onnx"
            )
        narrow = self._fill_narrow(module)
        for group in tensors:
            if not narrow & set(group):
                self._fill(module, group)

    def _fill_narrow(self, module: nn.Module) -> set[str]:
        """Replace the layers in E4M3; returns the names of their parameters."""
        filled = set()
        for name, layer in self._parameters.narrow():
            module.set_submodule(name, self._fp8_linear(module, name, layer))
            filled |= {f"{name}.weight", f"{name}.bias"}
        return filled

    def _fp8_linear(self, module: nn.Module, name: str, layer: Fp8) -> Fp8Linear:
        wide = module.get_submodule(name)
        assert isinstance(wide, nn.Linear)
        if isinstance(wide.bias, nn.Parameter):
            self._fill(module, [f"{name}.bias"])
        weight = self._share(wide.get_parameter("weight"), name, lambda: layer.weight, form="fp8")
        return Fp8Linear(weight, layer.weight_scale, layer.scale, wide.bias)

    def _fill(self, module: nn.Module, group: list[str]) -> None:
        """Fill in one tensor, which the module has under all names of `group`."""
        is_parameter = isinstance(_get(module, group[0]), nn.Parameter)
        name = next((name for name in group if self._parameters.has(name)), None)
        if name is None:
            if is_parameter:
                self._parameters.check_unused(group[0])
            return
        like = _get(module, name)
        dtype = like.dtype if is_parameter else None
        tensor = self._share(like, name, lambda: self._parameters.tensor(name, dtype))
        for alias in group:
            _set(module, alias, tensor)

    def _share(
        self, like: Tensor, name: str, make: Callable[[], Tensor], form: str = "torch"
    ) -> Tensor:
        """The tensor of the parameter `like`, from another graph of the folder if it has it in
        this form."""
        owner = self._owners.get(id(like), (self._path.name, name))
        key = (*self._key, *owner, form)
        tensor = _shared.get(key)
        if tensor is None:
            tensor = make()
            if isinstance(like, nn.Parameter) and form == "torch":
                tensor = nn.Parameter(tensor, requires_grad=False)
            _shared[key] = tensor
        return tensor


def _networks(path: Path, descriptions: dict[str, dict[str, Any]]) -> Networks:
    networks = {}
    for name, description in descriptions.items():
        kind = class_of(description.get("library", ""), description.get("class", ""))
        if kind is None:
            raise _undescribed(path)
        networks[name] = by_config(kind, description["config"]).eval()
    return networks


def _passes(module: str) -> ModuleType | None:
    """The module of passes; None where there is no such module of ours."""
    if not module.startswith(OURS):
        return None
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        return None


def _undescribed(path: Path) -> ArtifactError:
    return ArtifactError(
        f"the manifest does not say which PyTorch module {path.name} is; run the export again"
    )


def _by_tensor(module: nn.Module) -> list[list[str]]:
    """The names of all parameters and buffers; those of one tensor together."""
    groups: dict[int, list[str]] = {}
    for name, tensor in (
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    ):
        groups.setdefault(id(tensor), []).append(name)
    return list(groups.values())


def _get(module: nn.Module, name: str) -> Tensor:
    owner, _, leaf = name.rpartition(".")
    return getattr(module.get_submodule(owner), leaf)


def _set(module: nn.Module, name: str, tensor: Tensor) -> None:
    owner, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(owner), leaf, tensor)
