"""The folder of adapters: those that an edit may name, in the form that every runner reads.

An adapter is a folder of its name with a manifest and a safetensors file. For every linear layer
that it changes, the file has the matrices `MODULE/down` [in, rank] and `MODULE/up` [rank, out]. The
layer adds x · down · up · scale. `retouch adapters add` writes them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from retouch.api.lanes import ADAPTER_NAME
from retouch.artifacts.manifest import ArtifactError, Manifest, sha256
from retouch.artifacts.matrices import Matrices, matrices_of, write_matrices
from retouch.util import env

MANIFEST = "manifest.json"
SUFFIX = ".safetensors"
MAX_BYTES = 4 << 30  # of one adapter
DOWN = "/down"
UP = "/up"


@dataclass(frozen=True)
class AdapterManifest:
    """What an adapter is. `network` is the fingerprint of the network that it changes, `sha256` and
    `bytes` are those of its matrices. `source` is the file that it was made of."""

    name: str
    network: str
    sha256: str
    bytes: int
    modules: int
    rank: int
    source: str = ""
    source_sha256: str = ""

    @property
    def file(self) -> str:
        """The name of the matrices' file. It follows their content, so that a reader of an old
        manifest never has new matrices."""
        return self.sha256[:16] + SUFFIX


def adapter_folder(repository: Path) -> Path:
    """RETOUCH_ADAPTERS, or the folder `adapters` beside the model repository."""
    return Path(env.ADAPTERS.get() or Path(repository).absolute().parent / "adapters").absolute()


def fingerprint(lane: Manifest) -> str:
    """The fingerprint of a lane's transformer: checkpoints of one architecture have the same. Empty
    when the lane's manifest does not describe the network."""
    description = lane.settings.get("networks", {}).get("transformer")
    if description is None:
        return ""
    config = {
        name: value for name, value in description["config"].items() if not name.startswith("_")
    }
    text = json.dumps([description["class"], config], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def is_matrix(name: str) -> bool:
    """Whether it is the name of an adapter's matrix, among the inputs of a graph."""
    return name.endswith((DOWN, UP))


def adapters_in(folder: Path) -> dict[str, AdapterManifest]:
    """The adapters of a folder by name; damaged ones are left out."""
    manifests = {}
    for path in sorted(Path(folder).glob(f"*/{MANIFEST}")):
        try:
            manifests[path.parent.name] = read_adapter(folder, path.parent.name)
        except ArtifactError:
            continue
    return manifests


def read_adapter(folder: Path, name: str) -> AdapterManifest:
    """The manifest of the adapter `name`; ArtifactError."""
    if not re.fullmatch(ADAPTER_NAME, name):  # it may come from a request
        raise ArtifactError(f"{name!r} is no name of an adapter")
    path = Path(folder) / name / MANIFEST
    try:
        return AdapterManifest(**json.loads(path.read_text()) | {"name": name})
    except OSError:
        raise ArtifactError(f"the adapter {name} is not in {folder}") from None
    except (ValueError, TypeError):
        raise ArtifactError(f"{MANIFEST} of the adapter {name} is damaged; add it again") from None


def read_matrices(folder: Path, manifest: AdapterManifest) -> Matrices:
    """The matrices of an adapter, float32, in memory that the caller owns; ArtifactError when their
    file is missing or cut short."""
    path = Path(folder) / manifest.name / manifest.file
    try:
        if path.stat().st_size == manifest.bytes <= MAX_BYTES:
            return matrices_of(np.fromfile(path, np.uint8))
    except OSError:
        pass
    raise ArtifactError(f"{path.name} of the adapter {manifest.name} is damaged; add it again")


def write_adapter(
    folder: Path, name: str, network: str, matrices: Matrices, source: str, source_sha256: str
) -> AdapterManifest:
    """Add an adapter to the folder, or replace it; ArtifactError when it is too large."""
    size = sum(matrix.nbytes for matrix in matrices.values())
    if size > MAX_BYTES:
        raise ArtifactError(
            f"the adapter {name} takes {size / 1e9:.1f} GB; at most {MAX_BYTES / 1e9:.1f} GB "
            "are allowed"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / name
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as staging:
        path = Path(staging) / f"matrices{SUFFIX}"
        write_matrices(path, matrices)
        manifest = AdapterManifest(
            name,
            network,
            sha256(path),
            path.stat().st_size,
            sum(key.endswith(UP) for key in matrices),
            max(len(matrix) for key, matrix in matrices.items() if key.endswith(UP)),
            source,
            source_sha256,
        )
        text = Path(staging) / MANIFEST
        text.write_text(json.dumps(asdict(manifest), indent=2) + "\n")
        place.mkdir(exist_ok=True)
        path.replace(place / manifest.file)
        text.replace(place / MANIFEST)
    for old in place.glob(f"*{SUFFIX}"):
        if old.name != manifest.file:
            old.unlink()
    return manifest


def remove_adapter(folder: Path, name: str) -> None:
    """Remove an adapter from the folder; ArtifactError when it is not there."""
    read_adapter(folder, name)
    shutil.rmtree(Path(folder) / name)
