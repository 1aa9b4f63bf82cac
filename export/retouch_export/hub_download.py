"""A large file of the hub, downloaded into the hub's cache. A download that was stopped goes on
where it was.

huggingface_hub itself begins a stopped file anew. Here bytes are appended to
`blobs/<sha256>.incomplete`, which becomes the cache's file when it is whole and has its hash."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_session, hf_hub_url
from huggingface_hub.utils import WeakFileLock, build_hf_headers, hf_raise_for_status, tqdm

from retouch.api.version import VERSION
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.hashes import sha256
from retouch_export.hub_errors import TRANSPORT_ERROR, is_unreachable

INCOMPLETE = ".incomplete"
LIBRARY = "retouch"
ATTEMPTS = 5  # in a row that bring no bytes
WHOLE_FILE = 200  # status of an answer to a request of a range that the server does not know


class Bar(tqdm):
    """A progress bar, where standard error is a terminal."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **{"disable": None} | options)


@dataclass(frozen=True)
class Blob:
    """A file of `size` bytes in a repository at a commit. `target` is its path in the cache, named
    by its SHA-256."""

    repository: str
    commit: str
    path: str
    size: int
    target: Path

    @property
    def partial(self) -> Path:
        return self.target.with_name(self.target.name + INCOMPLETE)

    @property
    def missing_bytes(self) -> int:
        """The bytes that are not on this disk yet."""
        if self.target.is_file():
            return 0
        return max(0, self.size - _length(self.partial))


def download(blob: Blob) -> None:
    """Download what is missing of a file; CheckpointError when it does not have its hash. The
    failures of the hub pass."""
    storage = blob.target.parents[1]
    lock = storage.parent / ".locks" / storage.name / f"{blob.target.name}.lock"
    for folder in (lock.parent, blob.target.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if not blob.target.is_file():
            _fill(blob)
            _check(blob)
            os.replace(blob.partial, blob.target)


def _fill(blob: Blob) -> None:
    """Append to the partial file until it is whole."""
    if _length(blob.partial) > blob.size:
        blob.partial.unlink()
    fruitless = 0
    with _bar(blob) as bar:
        while (begin := _length(blob.partial)) < blob.size:
            failure = _attempt(blob, begin, bar)
            fruitless = 0 if _length(blob.partial) > begin else fruitless + 1
            if fruitless >= ATTEMPTS:
                raise failure or CheckpointError(f"the hub sends no more of {blob.path}")
            time.sleep(fruitless)


def _attempt(blob: Blob, begin: int, bar: Bar) -> Exception | None:
    """Append what one request brings. Returns the failure after which another may bring more;
    raises others."""
    try:
        _append(blob, begin, bar)
    except TRANSPORT_ERROR as failure:
        if is_unreachable(failure):
            return failure
        raise
    return None


def _append(blob: Blob, begin: int, bar: Bar) -> None:
    """One request for the bytes from `begin`."""
    url = hf_hub_url(blob.repository, blob.path, revision=blob.commit)
    headers = build_hf_headers(library_name=LIBRARY, library_version=VERSION)
    headers |= {"Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={begin}-"} if begin else {}
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with (
        get_session().stream("GET", url, headers=headers, timeout=timeout) as response,
        open(blob.partial, "ab", buffering=0) as file,
    ):
        hf_raise_for_status(response)
        if begin and response.status_code == WHOLE_FILE:
            file.truncate(0)
            bar.update(-begin)
        for chunk in response.iter_bytes():
            file.write(chunk)
            bar.update(len(chunk))


def _bar(blob: Blob) -> Bar:
    return Bar(
        desc=blob.path,
        total=blob.size,
        initial=_length(blob.partial),
        unit="B",
        unit_scale=True,
    )


def _check(blob: Blob) -> None:
    """CheckpointError for a file that is not the one of its hash, which is removed."""
    actual = sha256(blob.partial)
    if actual != blob.target.name:
        blob.partial.unlink()
        raise CheckpointError(
            f"{blob.path} is not the file that its hash describes ({actual[:12]} is not "
            f"{blob.target.name[:12]}); run the command again to download it anew"
        )


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
