"""Who may change a server: nobody without the secret of its start, over either protocol, from
whatever page."""

from __future__ import annotations

import http.client
import json
import os
import stat
from pathlib import Path

import psutil
import pytest
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from retouch.api.errors import RequestError
from retouch.client import Retouch
from retouch.launcher.secret import KEY, file_of, grpc_headers
from retouch.launcher.server import HOST

LOAD = {"parameters": {"config": "{}", "file:1/model.py": "aW1wb3J0IG9z"}}
REGION = {"key": "/x", "offset": 0, "byte_size": 64}
CALLS = [  # what changes a server, or tells of its clients
    ("POST", "/v2/repository/index", {}),
    ("POST", "/v2/repository/models/edit/load", LOAD),
    ("POST", "/v2/repository/models/new/load", LOAD),
    ("POST", "/v2/repository/models/edit/unload", {}),
    ("POST", "/v2/repository/models/vl_parser/unload", {"parameters": {"unload_dependents": True}}),
    ("GET", "/v2/systemsharedmemory/status", None),
    ("GET", "/v2/systemsharedmemory/region/x/status", None),
    ("POST", "/v2/systemsharedmemory/region/x/register", REGION),
    ("POST", "/v2/systemsharedmemory/unregister", {}),
    ("POST", "/v2/systemsharedmemory/region/x/unregister", {}),
    ("GET", "/v2/cudasharedmemory/status", None),
    (
        "POST",
        "/v2/cudasharedmemory/region/x/register",
        {"raw_handle": {"b64": ""}, "device_id": 0, "byte_size": 1},
    ),
    ("POST", "/v2/cudasharedmemory/unregister", {}),
    ("GET", "/v2/logging", None),
    ("POST", "/v2/logging", {"log_file": "/tmp/x", "log_verbose_level": 9}),
    ("GET", "/v2/trace/setting", None),
    ("POST", "/v2/trace/setting", {"trace_file": "/tmp/x", "trace_level": ["TENSORS"]}),
    ("POST", "/v2/models/edit/trace/setting", {"trace_level": ["TENSORS"]}),
]
SIMPLE = {
    "Content-Type": "text/plain",
    "Origin": "http://page.example",
    "Host": "page.example",
}  # no preflight
SENDERS = {
    "nothing": {},
    "a page": SIMPLE,
    "an empty secret": {KEY: ""},
    "another's": {KEY: "x" * 43},
    "the key of gRPC": {f"triton-grpc-protocol-{KEY}": "x"},
}


def asked(server, method, path, body=None, headers=None):
    """Status and text of an answer."""
    connection = http.client.HTTPConnection(HOST, server.http, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("sender", SENDERS)
def test_nobody_changes_it_over_http(server, sender):
    for method, path, body in CALLS:
        status, text = asked(server, method, path, body, SENDERS[sender])
        assert status == 403 and "restricted" in text, (method, path)
    with Retouch(f"{HOST}:{server.grpc}") as client:
        assert client.ready()


CALLS_OF_GRPC = {
    "index": lambda triton, headers: triton.get_model_repository_index(headers),
    "load": lambda triton, headers: triton.load_model(
        "edit", headers, config="{}", files={"file:1/model.py": b"import os"}
    ),
    "unload": lambda triton, headers: triton.unload_model("edit", headers),
    "regions": lambda triton, headers: triton.get_system_shared_memory_status(headers=headers),
    "register": lambda triton, headers: triton.register_system_shared_memory(
        "x", "/x", 64, headers=headers
    ),
    "unregister": lambda triton, headers: triton.unregister_system_shared_memory(headers=headers),
    "cuda regions": lambda triton, headers: triton.get_cuda_shared_memory_status(headers=headers),
    "cuda unregister": lambda triton, headers: triton.unregister_cuda_shared_memory(
        headers=headers
    ),
    "log settings": lambda triton, headers: triton.get_log_settings(headers),
    "logging": lambda triton, headers: triton.update_log_settings(
        {"log_verbose_level": 9}, headers
    ),
    "trace settings": lambda triton, headers: triton.get_trace_settings(headers=headers),
    "tracing": lambda triton, headers: triton.update_trace_settings(
        settings={"trace_rate": "1"}, headers=headers
    ),
}


@pytest.mark.parametrize(
    "headers",
    [{}, grpc_headers("x" * 43), {KEY: "x"}],
    ids=["nothing", "another's", "the key of HTTP"],
)
@pytest.mark.parametrize("call", CALLS_OF_GRPC)
def test_nobody_changes_it_over_grpc(server, call, headers):
    with grpc.InferenceServerClient(f"{HOST}:{server.grpc}") as triton:
        with pytest.raises(InferenceServerException, match="restricted"):
            CALLS_OF_GRPC[call](triton, headers)
        assert triton.is_model_ready("edit")


def test_with_the_secret_it_tells_and_still_loads_nothing(server):
    """Models cannot be changed while it runs, even by those who may ask."""
    secret = {KEY: server.secret}
    assert asked(server, "POST", "/v2/repository/index", {}, secret)[0] == 200
    assert asked(server, "GET", "/v2/logging", None, secret)[0] == 200
    for method in ("load", "unload"):
        status, text = asked(server, "POST", f"/v2/repository/models/edit/{method}", {}, secret)
        assert status >= 400 and "not allowed" in text
    assert asked(server, "GET", "/v2/models/edit/ready")[0] == 200


def test_health_metadata_and_statistics_are_open(server):
    for path in (
        "/v2/health/ready",
        "/v2/health/live",
        "/v2",
        "/v2/models/edit",
        "/v2/models/edit/config",
        "/v2/models/edit/ready",
        "/v2/models/stats",
    ):
        assert asked(server, "GET", path, None, SIMPLE)[0] == 200, path


def test_the_secret_lies_in_one_file_alone(server):
    """Not in arguments that every user of the machine can read, not in the log, not in the
    environment of models."""
    path = file_of(server.grpc)
    assert path.read_text() == server.secret and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server.secret.encode() not in Path(server.log).read_bytes()
    guard = psutil.Process(server.process.pid)
    for process in (guard, *guard.children(recursive=True)):
        assert server.secret not in " ".join(process.cmdline()), process.name()
    for process in guard.children(recursive=True):
        assert server.secret not in str(process.environ()), process.name()


def test_shared_memory_cannot_be_guessed_or_read_by_others(server):
    files = list(Path("/dev/shm").glob(f"{server.shm_prefix}*"))
    assert files and server.secret not in str(files)
    assert all(stat.S_IMODE(os.lstat(path).st_mode) & 0o077 == 0 for path in files)


@pytest.mark.parametrize("secret", ["", "x" * 43])
def test_a_client_with_the_wrong_secret_is_told(server, photo, secret):
    client = Retouch(f"{HOST}:{server.grpc}", shared_memory=True, secret=secret)
    with pytest.raises(RequestError, match="pass secret="):
        client.edit_one(photo, "make it blue")
    assert not list(Path("/dev/shm").glob("retouch-*"))


def test_a_client_is_given_the_secret(server, photo):
    with Retouch(f"{HOST}:{server.grpc}", shared_memory=True, secret=server.secret) as client:
        assert client.edit_one(photo, "make it blue", seed=1).final


def test_lanes_are_known_without_it(server, monkeypatch):
    monkeypatch.setattr("retouch.launcher.secret.FOLDER", Path("/nowhere"))
    for url, is_http in ((f"{HOST}:{server.grpc}", False), (f"{HOST}:{server.http}", True)):
        assert {"bf16", "fp8", "fp4"} <= set(Retouch(url, is_http).lanes())
