"""The adapters of a lane's edits: loaded on first use, shared by the edits that name the same ones,
evicted by bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from retouch.api.adapters import Adapters
from retouch.api.errors import RequestError
from retouch.artifacts.adapter_folder import (
    DOWN,
    AdapterManifest,
    adapters_in,
    read_adapter,
    read_matrices,
)
from retouch.artifacts.manifest import ArtifactError
from retouch.artifacts.matrices import Matrices
from retouch.util.content_cache import Cache, Counts

ADAPTER_BYTES = 512 << 20  # of matrices, those of running edits included
RETRY_SECONDS = 1.0
FIELD = "ADAPTER"

Key = tuple[tuple[str, float], ...]  # digests of the matrices, and scales
Place = Callable[[Matrices], Matrices]


@dataclass(frozen=True)
class LoadedAdapters:
    """What an edit's adapters add to the network. Equal keys mean equal matrices, by the names of
    the graphs' inputs."""

    key: Key = ()
    matrices: Matrices = field(default_factory=dict)


NO_ADAPTERS = LoadedAdapters()


class AdapterStore:
    """The adapters in `folder` for the network of this fingerprint. Their matrices take at most
    `limit` bytes."""

    def __init__(self, folder: Path | None, network: str = "", limit: int = ADAPTER_BYTES):
        """Without a folder there are no adapters."""
        self._folder = folder
        self._network = network
        self._cache = Cache(limit)

    @property
    def counts(self) -> Counts:
        return self._cache.counts

    def names(self) -> list[str]:
        """The adapters that an edit may name now."""
        if self._folder is None:
            return []
        manifests = adapters_in(self._folder)
        return [name for name in manifests if manifests[name].network == self._network]

    def pin(self, adapters: Adapters, place: Place) -> LoadedAdapters:
        """The adapters of an edit, which stay until `unpin`. `place` puts matrices on the device.
        RequestError for an unknown name, and while the running edits' adapters leave no room."""
        chosen = [(self._manifest(name), scale) for name, scale in adapters]
        key = tuple((manifest.sha256, scale) for manifest, scale in chosen)
        if key not in self._cache:
            self._make_room(sum(manifest.bytes for manifest, _ in chosen))
        return LoadedAdapters(key, self._cache.pin(key, lambda: place(self._read(chosen))))

    def unpin(self, loaded: LoadedAdapters) -> None:
        if loaded.key:
            self._cache.unpin(loaded.key)

    def _manifest(self, name: str) -> AdapterManifest:
        """RequestError for an unknown adapter, and for one of another network."""
        try:
            if self._folder is None:
                raise ArtifactError("there is no folder of adapters")
            manifest = read_adapter(self._folder, name)
        except ArtifactError:
            names = ", ".join(self.names())
            remedy = f"there are {names}" if names else "add it by `retouch adapters add`"
            raise RequestError(f"ADAPTER {name} is unknown; {remedy}", field=FIELD) from None
        if manifest.network != self._network:
            raise RequestError(
                f"ADAPTER {name} was added for another network than this lane's; add it again",
                field=FIELD,
            )
        return manifest

    def _make_room(self, needed: int) -> None:
        limit = self._cache.limit
        if needed > limit:
            raise RequestError(
                f"ADAPTER takes {needed / 1e6:.0f} MB and this server allows {limit / 1e6:.0f} MB; "
                "raise the lane's parameter adapter_bytes",
                field=FIELD,
            )
        if not self._cache.make_room(needed):
            raise RequestError(
                "the adapters of the running edits take the memory that adapters may; "
                f"try again in {RETRY_SECONDS:.1f} s",
                "UNAVAILABLE",
                retry_after=RETRY_SECONDS,
            )

    def _read(self, chosen: Sequence[tuple[AdapterManifest, float]]) -> Matrices:
        """The matrices of all adapters together: scales are in `up`."""
        assert self._folder is not None  # it has their manifests
        try:
            parts = [
                _scaled(read_matrices(self._folder, manifest), scale) for manifest, scale in chosen
            ]
        except ArtifactError as failure:
            raise RequestError(str(failure), "INTERNAL", field=FIELD) from None
        return parts[0] if len(parts) == 1 else _joined(parts)


def _scaled(matrices: Matrices, scale: float) -> Matrices:
    """The same matrices, with the scale in `up`."""
    for name, matrix in matrices.items():
        if scale != 1 and not name.endswith(DOWN):
            matrix *= np.float32(scale)
    return matrices


def _joined(parts: Sequence[Matrices]) -> Matrices:
    """The matrices whose product is the sum of the products of all parts."""
    return {
        name: np.concatenate(
            [part[name] for part in parts if name in part], axis=1 if name.endswith(DOWN) else 0
        )
        for name in {name: None for part in parts for name in part}
    }
