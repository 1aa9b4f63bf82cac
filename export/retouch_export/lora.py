"""Adapters on disk: diffusers' layout (`pytorch_lora_weights.safetensors`), peft's
(`adapter_config.json` beside `adapter_model.safetensors`), and what diffusers itself can turn into
its layout (kohya's, Black Forest Labs', XLabs')."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retouch.api.lanes import ADAPTER_NAME
from retouch_export.adapter import COMPONENT, Adapter, AdapterError, LowRank
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.hashes import sha256
from retouch_export.safetensors_index import TensorSource, header

FILES = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")
CONFIG = "adapter_config.json"
METADATA = "lora_adapter_metadata"  # where diffusers keeps peft's settings in a file's header
PEFT = "base_model.model."  # how peft's names begin
PREFIXES = (f"{PEFT}{COMPONENT}.", PEFT, f"{COMPONENT}.")
PART = re.compile(
    r"(?P<module>.+)\.(?P<side>lora_A|lora_B|lora\.down|lora\.up)(\.default)?\.weight"
    r"|(?P<scaled>.+)\.alpha"
)
DOWN = ("lora_A", "lora.down")
# names of layers that diffusers does not use itself
FOREIGN = re.compile(
    r"lora_unet_|lora_transformer_|lora_te\d?_|diffusion_model\.|.*\.processor\.|.*\.lora_down\."
    r"|(base_model\.model\.)?(double|single)_blocks\."
)
UNSUPPORTED = {
    "lora_magnitude_vector": "DoRA",
    "dora_scale": "DoRA",
    "lokr_": "LoKr",
    "hada_": "LoHa",
    "oft_": "OFT",
    "ia3_": "IA3",
    "vera_": "VeRA",
    "lora_mid": "a LoRA of convolutions",
    "lora_embedding_": "a LoRA of embeddings",
    ".diff": "whole differences",
    "lora_B.bias": "a LoRA with biases",
    "lora.up.bias": "a LoRA with biases",
}
MOVING = (
    "pissa",
    "olora",
    "corda",
    "loftq",
)  # ways to begin the training that change the weights below the adapter


@dataclass(frozen=True)
class AdapterFile:
    """An adapter as it is asked for: a file or a folder, the name of its lanes, and how strong it
    is to be."""

    path: Path
    name: str
    scale: float = 1.0

    def __post_init__(self) -> None:
        """ValueError."""
        if not re.fullmatch(ADAPTER_NAME, self.name):
            raise ValueError(
                f"--lora-name {self.name!r} is no name of a lane; it must be lower-case letters and digits, "
                "with single hyphens between, at most 40 characters"
            )
        if not math.isfinite(self.scale) or self.scale == 0:
            raise ValueError(
                f"--lora-scale is {self.scale}; it must be a finite number other than 0"
            )

    def read(self, checkpoint: Checkpoint) -> Adapter:
        """AdapterError when it is none, of an unsupported kind, or for another network than the
        checkpoint's."""
        file = _file(self.path)
        adapter = Adapter(
            self.name, self.scale, _digest(file), changes(file, self.scale, checkpoint.family)
        )
        adapter.check(checkpoint.stored(COMPONENT))
        return adapter


def changes(path: Path, scale: float = 1.0, family: str = "") -> dict[str, LowRank]:
    """What an adapter, a file or a folder, changes of a network, by parameter; `family` is the
    checkpoint's, for names that are not diffusers' nor peft's. AdapterError when it is none, or of
    an unsupported kind."""
    file = _file(path)
    try:
        tensors, metadata = header(file)
    except CheckpointError as failure:
        raise AdapterError(str(failure)) from None
    _refuse_kinds(tensors)
    if any(map(FOREIGN.match, tensors)):
        from retouch_export.lora_formats import converted  # loads torch

        tensors = converted(file, family)
        settings = {}
    else:
        settings = _settings(file, metadata, peft=any(name.startswith(PEFT) for name in tensors))
    try:
        return _changes(tensors, settings, scale)
    except (ValueError, TypeError, re.error):
        raise AdapterError(
            f"{file.name} says how strong it is by what are no numbers; copy it again"
        ) from None


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    found = [path / name for name in FILES if (path / name).is_file()]
    if not found:
        raise AdapterError(
            f"{path} holds no adapter; give a safetensors file, or a folder with {' or '.join(FILES)}"
        )
    return found[0]


def _settings(file: Path, metadata: Mapping[str, str], peft: bool) -> dict[str, Any]:
    """peft's, of the file beside the weights in its own layout, or out of their header; {} where
    there are none. AdapterError."""
    try:
        if peft:
            found = json.loads((file.parent / CONFIG).read_text())
        else:
            found = {
                name.removeprefix(f"{COMPONENT}."): value
                for name, value in json.loads(metadata.get(METADATA, "{}")).items()
            }
        _refuse_settings(found)
        return found
    except OSError:
        raise AdapterError(
            f"{file.name} lies without its {CONFIG}, which says how strong it is; copy both"
        ) from None
    except (ValueError, AttributeError, TypeError):
        raise AdapterError(
            f"the adapter's settings ({CONFIG if peft else METADATA}) are damaged; copy it again"
        ) from None


def _refuse_settings(found: dict[str, Any]) -> None:
    kind = found.get("peft_type", "LORA")
    start = str(found.get("init_lora_weights", "")).lower()
    other = {
        f"of the kind {kind}": kind != "LORA",
        "DoRA": found.get("use_dora"),
        "a LoRA with biases": found.get("bias", "none") != "none" or found.get("lora_bias"),
        "a LoRA with whole modules": found.get("modules_to_save"),
        f"a LoRA that began with {start}": start.startswith(MOVING),
    }
    for words, true in other.items():
        if true:
            raise AdapterError(f"the adapter is {words}; only LoRA of linear layers can be merged")


def _refuse_kinds(names: Mapping[str, TensorSource]) -> None:
    for name in names:
        kind = next((kind for mark, kind in UNSUPPORTED.items() if mark in name), None)
        if kind:
            raise AdapterError(
                f"the adapter is {kind} ({name}); only LoRA of linear layers can be merged"
            )


def _changes(
    tensors: Mapping[str, TensorSource], settings: dict[str, Any], scale: float
) -> dict[str, LowRank]:
    """By the parameter that they change."""
    sides: dict[str, dict[bool, TensorSource]] = {}
    alphas: dict[str, float] = {}
    for name, tensor in tensors.items():
        if name.startswith("text_encoder"):
            raise AdapterError(
                f"the adapter changes {name.split('.')[0]} too, and only those of the {COMPONENT} alone can "
                "be merged; train it without"
            )
        found = PART.fullmatch(_bare(name))
        if not found:
            raise AdapterError(f"the adapter holds {name}, which is no part of a LoRA")
        if found["scaled"]:
            alphas[found["scaled"]] = float(tensor.numbers())
        elif len(tensor.shape) != 2:
            raise AdapterError(
                f"the adapter's {name} has {len(tensor.shape)} dimensions; only LoRA of linear layers can "
                "be merged"
            )
        else:
            sides.setdefault(found["module"], {})[found["side"] in DOWN] = tensor
    if not sides:
        raise AdapterError("the adapter holds no LoRA")
    return {
        f"{module}.weight": _change(
            module, found, scale, _alpha(module, settings, alphas), settings
        )
        for module, found in sides.items()
    }


def _change(
    module: str,
    sides: dict[bool, TensorSource],
    scale: float,
    alpha: float | None,
    settings: dict[str, Any],
) -> LowRank:
    """With peft's scaling: alpha / r, or alpha / √r (rsLoRA); 1 where there is no alpha, as
    diffusers has it."""
    if len(sides) < 2:
        raise AdapterError(
            f"the adapter has only one of the two matrices of {module}; copy it again"
        )
    down = sides[True]
    up = sides[False]
    rank = down.shape[0]
    if up.shape[1] != rank:
        raise AdapterError(
            f"the adapter's two matrices of {module} have ranks {rank} and {up.shape[1]}; copy it again"
        )
    factor = (
        1.0 if alpha is None else alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    )
    return LowRank(down, up, scale * factor)


def _alpha(module: str, settings: dict[str, Any], alphas: dict[str, float]) -> float | None:
    """The layer's own or the adapter's; peft's patterns are the ends of modules' names."""
    own = [
        value
        for pattern, value in (settings.get("alpha_pattern") or {}).items()
        if re.fullmatch(rf"(.*\.)?({pattern})", module)
    ]
    return next(
        (
            float(value)
            for value in (*own, settings.get("lora_alpha"), alphas.get(module))
            if value is not None
        ),
        None,
    )


def _bare(name: str) -> str:
    return next((name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix)), name)


def _digest(file: Path) -> str:
    beside = file.parent / CONFIG
    parts = [sha256(each) for each in (file, beside) if each.is_file()]
    return hashlib.sha256("".join(parts).encode()).hexdigest()
