"""A commit of a repository of the Hugging Face Hub: what the hub lists, and what its cache has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.hf_api import RepoFile

from retouch.api.version import VERSION
from retouch_export.checkpoint import INDEX
from retouch_export.hub_download import LIBRARY, Bar, Blob, download
from retouch_export.hub_errors import TRANSPORT_ERROR, is_unreachable
from retouch_export.hub_name import HubName


@dataclass(frozen=True)
class HubFile:
    """A file of a commit. `sha256` is empty for one that is small and not in git-lfs."""

    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Snapshot:
    """A commit. `folder` is its folder in the hub's cache, in which files are links to blobs.

    `files` are those of the commit by path. Without `is_listed` the hub cannot be reached, and they
    are those of the cache."""

    name: HubName
    folder: Path
    files: dict[str, HubFile]
    is_listed: bool

    @property
    def commit(self) -> str:
        return self.folder.name

    @property
    def origin(self) -> str:
        return f"{self.name.repository}@{self.commit}"

    def has(self, path: str) -> bool:
        """Whether the cache has a file."""
        return (self.folder / path).is_file()

    def missing_bytes(self, paths: list[str]) -> int:
        """The bytes of these files that the cache lacks."""
        return sum(self._missing(path) for path in paths if not self.has(path))

    def fetch(self, paths: list[str]) -> None:
        """Download the files that the cache lacks; those in git-lfs one by one."""
        absent = [path for path in paths if not self.has(path)]
        for path in absent:
            if self.files[path].sha256:
                download(self._blob(path))
        if absent:
            snapshot_download(
                self.name.repository,
                revision=self.commit,
                allow_patterns=[_escaped(path) for path in absent],
                library_name=LIBRARY,
                library_version=VERSION,
                tqdm_class=Bar,
            )

    def _missing(self, path: str) -> int:
        file = self.files[path]
        return self._blob(path).missing_bytes if file.sha256 else file.size

    def _blob(self, path: str) -> Blob:
        file = self.files[path]
        target = self.folder.parents[1] / "blobs" / file.sha256
        return Blob(self.name.repository, self.commit, path, file.size, target)


def open_snapshot(name: HubName) -> Snapshot:
    """The commit of a name, with its model_index.json in the cache. Where the hub cannot be reached
    it is the one of the cache. Failures of the hub pass."""
    try:
        api().model_info(name.repository, revision=name.revision)
    except (TRANSPORT_ERROR, OSError) as failure:
        if not is_unreachable(failure):
            raise
        return _in_cache(name, failure)
    folder = _index(name).parent
    return Snapshot(name, folder, _listed(name, folder.name), is_listed=True)


def api() -> HfApi:
    return HfApi(library_name=LIBRARY, library_version=VERSION)


def _in_cache(name: HubName, failure: BaseException) -> Snapshot:
    """The commit that the cache has; raises `failure` when it has none."""
    try:
        folder = _index(name, local_files_only=True).parent
    except LocalEntryNotFoundError:
        raise failure from None
    return Snapshot(name, folder, _cached(folder), is_listed=False)


def _index(name: HubName, local_files_only: bool = False) -> Path:
    """The model_index.json in the cache, in the folder of its commit."""
    index = hf_hub_download(
        name.repository,
        INDEX,
        revision=name.revision,
        library_name=LIBRARY,
        library_version=VERSION,
        local_files_only=local_files_only,
    )
    return Path(index)


def _listed(name: HubName, commit: str) -> dict[str, HubFile]:
    tree = api().list_repo_tree(name.repository, recursive=True, revision=commit)
    return {
        entry.path: HubFile(entry.size, entry.lfs.sha256 if entry.lfs else "")
        for entry in tree
        if isinstance(entry, RepoFile)
    }


def _cached(folder: Path) -> dict[str, HubFile]:
    return {
        path.relative_to(folder).as_posix(): HubFile(path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _escaped(path: str) -> str:
    """A pattern of fnmatch that only this path matches."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)
