"""A Hugging Face Hub on loopback: the requests that huggingface_hub makes of repositories, served
from folders, without xet."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

from retouch.util import env

LARGE = (".safetensors", ".bin")  # suffixes of files in git-lfs
BLOCK = 1 << 14  # bytes that are written at once
TOKEN = "hf_secret"


@dataclass
class Repository:
    """A folder as a repository with one commit, the branch main and the tag v1. Files of a gated or
    private one need TOKEN. A file in `stalls` is sent up to that byte, and then no more;
    one in `breaks` too, but the connection is closed, once."""

    folder: Path
    is_gated: bool = False
    is_private: bool = False
    stalls: dict[str, int] = field(default_factory=dict)
    breaks: dict[str, int] = field(default_factory=dict)
    knows_ranges: bool = True

    @property
    def commit(self) -> str:
        return hashlib.sha1(str(self.folder).encode()).hexdigest()

    @property
    def paths(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def entry(self, path: Path) -> dict:
        content = path.read_bytes()
        entry = {
            "type": "file",
            "path": path.relative_to(self.folder).as_posix(),
            "size": len(content),
            "oid": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
        }
        if path.suffix in LARGE:
            lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
            entry["lfs"] = lfs | {"pointerSize": 134}
        return entry


class FakeHub(ThreadingHTTPServer):
    """Counts what it serves: `gets` of files by path, and `bytes` of their contents by path."""

    daemon_threads = True

    def __init__(self, repositories: dict[str, Repository]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = repositories
        self.gets: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.stalled = threading.Event()
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def forget(self) -> None:
        self.gets.clear()
        self.bytes.clear()

    def handle_error(self, request, client_address) -> None:
        """A client that was killed is no error."""


class Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(is_head=True)

    def do_GET(self) -> None:
        self._answer(is_head=False)

    def log_message(self, format: str, *arguments: object) -> None:
        """Tests read standard error."""

    def _answer(self, is_head: bool) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        is_api = parts[:2] == ["api", "models"]
        owner, name, kind, revision, *rest = [*(parts[2:] if is_api else parts), "", ""]
        repository = self.server.repositories.get(f"{owner}/{name}")
        has_token = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repository is None or (repository.is_private and not has_token):
            self._refuse(401, "RepoNotFound")
        elif repository.is_gated and not has_token and not is_api:
            self._refuse(401, "GatedRepo")
        elif revision not in ("main", "v1", repository.commit):
            self._refuse(404, "RevisionNotFound")
        elif is_api and kind == "tree":
            self._json([repository.entry(path) for path in repository.paths])
        elif is_api:
            self._json({"id": f"{owner}/{name}", "sha": repository.commit, "siblings": []})
        else:
            self._file(repository, "/".join(part for part in rest if part), is_head)

    def _file(self, repository: Repository, name: str, is_head: bool) -> None:
        path = repository.folder / name
        if not path.is_file():
            self._refuse(404, "EntryNotFound")
            return
        entry = repository.entry(path)
        begin, end, status = self._range(entry["size"], repository.knows_ranges)
        self.send_response(status)
        self.send_header("X-Repo-Commit", repository.commit)
        self.send_header("ETag", f'"{entry["oid"]}"')
        if lfs := entry.get("lfs"):
            self.send_header("X-Linked-ETag", f'"{lfs["oid"]}"')
            self.send_header("X-Linked-Size", str(lfs["size"]))
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{entry['size']}")
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        if not is_head:
            self.server.gets[name] += 1
            self._send(path.read_bytes()[begin:end], name, repository)

    def _range(self, size: int, is_known: bool) -> tuple[int, int, int]:
        """Begin, end and status of the answer."""
        header = self.headers.get("Range", "")
        if not is_known or not header.startswith("bytes="):
            return 0, size, 200
        begin, _, last = header.removeprefix("bytes=").partition("-")
        return int(begin), min(size, int(last) + 1) if last else size, 206

    def _send(self, content: bytes, name: str, repository: Repository) -> None:
        stall = repository.stalls.get(name)
        end = repository.breaks.pop(name, len(content))
        for begin in range(0, len(content), BLOCK):
            if begin >= end:
                self.close_connection = True
                return
            if stall is not None and begin >= stall:
                self.server.stalled.set()
                self.server.released.wait(60)
                return
            block = content[begin : begin + BLOCK]
            self.wfile.write(block)
            self.server.bytes[name] += len(block)

    def _json(self, document: object) -> None:
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def running(repositories: dict[str, Repository]):
    """A hub that serves while the `with` block runs."""
    hub = FakeHub(repositories)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        hub.shutdown()
        thread.join()
        hub.server_close()


def use(hub: FakeHub, patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make this process download from `hub` into caches in `folder`, without a token."""
    template = "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "ENDPOINT", hub.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + template)
    patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.delenv("HF_TOKEN", raising=False)
    patch.setenv(env.CACHE_HOME.name, str(folder / "cache"))
