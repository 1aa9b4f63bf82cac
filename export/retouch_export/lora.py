"""Adapter files in the layouts of diffusers (`pytorch_lora_weights.safetensors`) and peft
(`adapter_model.safetensors` with `adapter_config.json`), and in those that diffusers can convert
(kohya's, Black Forest Labs', XLabs')."""

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
METADATA = "lora_adapter_metadata"  # diffusers' entry for peft's settings in a file's header
PEFT = "base_model.model."  # prefix of peft's names
PREFIXES = (f"{PEFT}{COMPONENT}.", PEFT, f"{COMPONENT}.")
PART = re.compile(
    r"(?P<module>.+)\.(?P<side>lora_A|lora_B|lora\.down|lora\.up)(\.default)?\.weight"
    r"|(?P<scaled>.+)\.alpha"
)
DOWN = ("lora_A", "lora.down")
# layer names of other layouts than diffusers' own
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
# initialisations that also change the base weights
MOVING = ("pissa", "olora", "corda", "loftq")


@dataclass(frozen=True)
class AdapterFile:
    """The options of an adapter: its file or folder, the name of its lanes, and its strength."""

    path: Path
    name: str
    scale: float = 1.0

    def __post_init__(self) -> None:
        """ValueError for a bad name or scale."""
        if not re.fullmatch(ADAPTER_NAME, self.name):
            raise ValueError(
                f"--lora-name {self.name!r} is no name of a lane; "
                "it must be lower-case letters and digits, with single hyphens between, "
                "at most 40 characters"
            )
        if not math.isfinite(self.scale) or self.scale == 0:
            raise ValueError(
                f"--lora-scale is {self.scale}; it must be a finite number other than 0"
            )

    def read(self, checkpoint: Checkpoint) -> Adapter:
        """AdapterError when the file is no adapter, of an unsupported kind, or for another
        network."""
        file = adapter_file(self.path)
        adapter = Adapter(
            self.name,
            self.scale,
            digest(file),
            changes(file, self.scale, checkpoint.family),
            file.name,
        )
        adapter.check(checkpoint.stored(COMPONENT))
        return adapter


def changes(path: Path, scale: float = 1.0, family: str = "") -> dict[str, LowRank]:
    """The changes of an adapter (a file or a folder), by parameter name.

    `family` is the checkpoint's; it is needed for layouts that diffusers converts. AdapterError
    when the file is no adapter, or of an unsupported kind."""
    file = adapter_file(path)
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
            f"{file.name} states its strength in no valid number; copy it again"
        ) from None


def adapter_file(path: Path) -> Path:
    """The file with the weights, of a file or a folder; AdapterError."""
    if path.is_file():
        return path
    files = [path / name for name in FILES if (path / name).is_file()]
    if not files:
        raise AdapterError(
            f"{path} holds no adapter; give a safetensors file, "
            f"or a folder with {' or '.join(FILES)}"
        )
    return files[0]


def _settings(file: Path, metadata: Mapping[str, str], peft: bool) -> dict[str, Any]:
    """The settings of peft: those of its own layout are in a file next to the weights, others in
    their header. {} when there are none; AdapterError."""
    try:
        if peft:
            settings = json.loads((file.parent / CONFIG).read_text())
        else:
            settings = {
                name.removeprefix(f"{COMPONENT}."): value
                for name, value in json.loads(metadata.get(METADATA, "{}")).items()
            }
        _refuse_settings(settings)
        return settings
    except OSError:
        raise AdapterError(
            f"{file.name} lies without its {CONFIG}, which states its strength; copy both"
        ) from None
    except (ValueError, AttributeError, TypeError):
        raise AdapterError(
            f"the adapter's settings ({CONFIG if peft else METADATA}) are damaged; copy it again"
        ) from None


def _refuse_settings(settings: dict[str, Any]) -> None:
    kind = settings.get("peft_type", "LORA")
    start = str(settings.get("init_lora_weights", "")).lower()
    other = {
        f"of the kind {kind}": kind != "LORA",
        "DoRA": settings.get("use_dora"),
        "a LoRA with biases": settings.get("bias", "none") != "none" or settings.get("lora_bias"),
        "a LoRA with whole modules": settings.get("modules_to_save"),
        f"a LoRA that began with {start}": start.startswith(MOVING),
    }
    for name, is_so in other.items():
        if is_so:
            raise AdapterError(f"the adapter is {name}; only LoRA of linear layers can be merged")


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
    """The changes by parameter name."""
    sides: dict[str, dict[bool, TensorSource]] = {}
    alphas: dict[str, float] = {}
    for name, tensor in tensors.items():
        if name.startswith("text_encoder"):
            raise AdapterError(
                f"the adapter changes {name.split('.')[0]} too, and only changes of the "
                f"{COMPONENT} can be merged; train it without"
            )
        match = PART.fullmatch(_bare(name))
        if not match:
            raise AdapterError(f"the adapter holds {name}, which is no part of a LoRA")
        if match["scaled"]:
            alphas[match["scaled"]] = float(tensor.numbers())
        elif len(tensor.shape) != 2:
            raise AdapterError(
                f"the adapter's {name} has {len(tensor.shape)} dimensions; "
                "only LoRA of linear layers can be merged"
            )
        else:
            sides.setdefault(match["module"], {})[match["side"] in DOWN] = tensor
    if not sides:
        raise AdapterError("the adapter holds no LoRA")
    return {
        f"{module}.weight": _change(
            module, matrices, scale, _alpha(module, settings, alphas), settings
        )
        for module, matrices in sides.items()
    }


def _change(
    module: str,
    sides: dict[bool, TensorSource],
    scale: float,
    alpha: float | None,
    settings: dict[str, Any],
) -> LowRank:
    """The change of one module. Its factor is peft's: alpha / r, or alpha / √r for rsLoRA. Without
    alpha it is 1, as in diffusers."""
    if len(sides) < 2:
        raise AdapterError(
            f"the adapter has only one of the two matrices of {module}; copy it again"
        )
    down = sides[True]
    up = sides[False]
    rank = down.shape[0]
    if up.shape[1] != rank:
        raise AdapterError(
            f"the adapter's two matrices of {module} have ranks {rank} and {up.shape[1]}; "
            "copy it again"
        )
    factor = (
        1.0 if alpha is None else alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    )
    return LowRank(down, up, scale * factor)


def _alpha(module: str, settings: dict[str, Any], alphas: dict[str, float]) -> float | None:
    """The alpha of a module: its own, or the adapter's. A pattern of peft matches the end of a
    module's name."""
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


def digest(file: Path) -> str:
    """SHA-256 of an adapter's files: its weights and, in peft's layout, its settings."""
    files = (file, file.parent / CONFIG)
    parts = [sha256(path) for path in files if path.is_file()]
    return hashlib.sha256("".join(parts).encode()).hexdigest()
