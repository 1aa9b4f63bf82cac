"""Whether an exported artifact is still what an export would make today, and if not, why. Imports
no torch."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Any

from retouch.api.lanes import precision_of
from retouch.artifacts.manifest import ArtifactError, Manifest, verify
from retouch_export import sources
from retouch_export.hashes import sha256
from retouch_export.parts import OPSET, Stage, TypedStage

TOOLS = ("torch", "diffusers", "transformers", "peft", "onnx", "onnxruntime", "onnxscript")
EXPORTER = f"{__package__}.exporter"  # it makes all artifacts
PLAN_RUNTIME = "retouch.backends.tensorrt"  # it builds no plan and no graph
CALIBRATION = f"{__package__}.calibrate"  # and that the ranges of quantised lanes
PART_CALIBRATION = f"{__package__}.calibrate_parts"  # and that those of quantised parts


def versions() -> dict[str, str]:
    """Of the tools that export."""
    return {tool: metadata.version(tool) for tool in TOOLS}


def sources_of(stage: Stage, lane: str) -> dict[str, str]:
    """Digests of the modules that a stage's artifacts are made by. The loops that calibration runs
    are left out: other tests hold what they compute."""
    modules = sources.closure(stage.module, EXPORTER, without=PLAN_RUNTIME)
    if precision_of(lane) != "bf16":
        modules |= {CALIBRATION}
        modules |= {PART_CALIBRATION} if isinstance(stage, TypedStage) else set()
    return sources.digests(modules)


def why_stale(
    stage: Stage,
    folder: Path,
    checkpoint_sha256: str,
    lane: str,
    adapter: dict[str, Any] | None = None,
) -> str | None:
    """Why the artifacts in `folder` are to be made anew, as the end of a sentence; None where they
    are whole, of this checkpoint and lane, with this adapter's `about`, and made by these tools and
    sources."""
    if not folder.is_dir():
        return "it is not there yet"
    try:
        manifest = verify(folder)
    except ArtifactError as failure:
        return str(failure)
    if manifest.checkpoint_sha256 != checkpoint_sha256:
        return "it is of another checkpoint"
    if (manifest.precision, manifest.settings.get("adapter")) != (lane, adapter):
        return "it is of another lane, adapter or scale"
    return _other_makers(manifest, stage, lane)


def _other_makers(manifest: Manifest, stage: Stage, lane: str) -> str | None:
    if manifest.opset != OPSET:
        return f"it has operators of ONNX {manifest.opset}, and the exporter writes {OPSET}"
    tools = versions()
    for tool, version in tools.items():
        before = manifest.versions.get(tool, "unknown")
        if before != version:
            return f"it was made by {tool} {before}, and {version} is installed"
    if not manifest.sources:
        return "it was made before manifests named their sources"
    return _changed(manifest.sources, sources_of(stage, lane))


def _changed(before: dict[str, str], now: dict[str, str]) -> str | None:
    names = before.keys() | now.keys()
    changed = sorted(name for name in names if before.get(name) != now.get(name))
    if not changed:
        return None
    rest = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"the source {changed[0]}{rest} changed since it was made"


def checkpoint_digest(checkpoint: Path, variant: str | None = None) -> str:
    """SHA-256 of a checkpoint's weights and settings, and of the variant that is read."""
    total = _digest(checkpoint, "**/*.safetensors", "**/*.json")
    return hashlib.sha256(f"{total} {variant}".encode()).hexdigest() if variant else total


def _digest(folder: Path, *patterns: str) -> str:
    """SHA-256 over the names and contents of the files under `folder` that match."""
    total = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(bytes.fromhex(sha256(path)))
    return total.hexdigest()
