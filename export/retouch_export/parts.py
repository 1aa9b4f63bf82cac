"""The parts of a model repository that are exported, and whether one is already there. Imports no
torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from retouch.artifacts.manifest import ArtifactError, verify
from retouch.launcher.paths import ROOT
from retouch_export.hashes import sha256

OPSET = 20
TOOLS = ("torch", "diffusers", "transformers", "peft", "onnx", "onnxruntime", "onnxscript")
# what the artifacts are made by: a change here makes those that exist old
SOURCES = (
    "export/retouch_export/**/*.py",  # of a checkout
    "retouch_export/**/*.py",  # of an installed wheel
    "retouch/networks/*.py",
    "retouch/artifacts/onnx_scopes.py",
    "retouch/backends/onnx_lowering.py",
)


@dataclass(frozen=True)
class Part:
    """One model of the repository.

    `module` has `graphs(checkpoint)`, `settings(checkpoint)`, and `files(checkpoint, folder)` for
    the rest. That of a part which `streams`, as the denoiser and large text models, can give its
    graphs in outline too, and names the FOLDER that its parameters lie in; where those are called
    otherwise than in the graphs, `parameter(name)` says how. One with parameters of several folders
    has `parameters(checkpoint)` instead, and their PREFIXES; one that does not compute as its lane
    has ARITHMETIC."""

    name: str
    module: str
    streams: bool = False

    def folder(self, repository: Path, lane: str) -> Path:
        """The version folder; a denoiser has one model a lane."""
        return repository / (f"{self.name}_{lane}" if self.name == "denoiser" else self.name) / "1"


PARTS = (
    Part("vl_parser", "retouch_export.instructx.parser", streams=True),
    Part("connector", "retouch_export.instructx.connector"),
    Part("vae_encoder", "retouch_export.instructx.vae_encoder"),
    Part("vae_decoder", "retouch_export.instructx.vae_decoder"),
    Part("denoiser", "retouch_export.instructx.denoiser", streams=True),
)
CONNECTOR = Part("connector", "retouch_export.passthrough")
KONTEXT = (
    CONNECTOR,
    Part("vl_parser", "retouch_export.flux_kontext.text", streams=True),
    Part("vae_encoder", "retouch_export.instructx.vae_encoder"),
    Part("vae_decoder", "retouch_export.instructx.vae_decoder"),
    Part("denoiser", "retouch_export.flux_kontext.denoiser", streams=True),
)
KLEIN = (
    CONNECTOR,
    Part("vl_parser", "retouch_export.flux2_klein.text", streams=True),
    Part("vae_encoder", "retouch_export.flux2_klein.vae_encoder"),
    Part("vae_decoder", "retouch_export.flux2_klein.vae_decoder"),
    Part("denoiser", "retouch_export.flux2_klein.denoiser", streams=True),
)
QWEN_IMAGE_EDIT = (
    CONNECTOR,
    Part("vl_parser", "retouch_export.qwen_image_edit.text", streams=True),
    Part("vae_encoder", "retouch_export.qwen_image_edit.vae_encoder"),
    Part("vae_decoder", "retouch_export.qwen_image_edit.vae_decoder"),
    Part("denoiser", "retouch_export.qwen_image_edit.denoiser", streams=True),
)
FAMILIES = {
    "instructx": PARTS,
    "flux-kontext": KONTEXT,
    "flux2-klein-kv": KLEIN,
    "qwen-image-edit": QWEN_IMAGE_EDIT,
}


def versions() -> dict[str, str]:
    """Of the tools, and a digest of our own sources."""
    return {tool: metadata.version(tool) for tool in TOOLS} | {
        "exporter": digest(ROOT, *SOURCES)[:12]
    }


def digest(folder: Path, *patterns: str) -> str:
    """SHA-256 over the names and contents of the files under `folder` that match."""
    total = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(bytes.fromhex(sha256(path)))
    return total.hexdigest()


def checkpoint_digest(checkpoint: Path, variant: str | None = None) -> str:
    """SHA-256 of everything in a checkpoint that its networks are made of, and of the variant that
    is read."""
    total = digest(checkpoint, "**/*.safetensors", "**/*.json")
    return hashlib.sha256(f"{total} {variant}".encode()).hexdigest() if variant else total


def current(
    folder: Path, checkpoint_sha256: str, lane: str, adapter: dict[str, Any] | None = None
) -> bool:
    """Whether `folder` holds a whole export of this checkpoint, made by these tools, with this
    adapter's `about`."""
    try:
        manifest = verify(folder)
    except ArtifactError:
        return False
    found = manifest.checkpoint_sha256, manifest.precision, manifest.opset, manifest.versions
    return (
        found == (checkpoint_sha256, lane, OPSET, versions())
        and manifest.settings.get("adapter") == adapter
    )
