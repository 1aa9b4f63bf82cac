"""Connections of the clients: loopback without the environment's proxy, loops that follow each
other, and forks."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from retouch.api.errors import RequestError
from retouch.api.triton_errors import read_error
from retouch.client import AsyncRetouch, Retouch, Retries
from retouch.client.channel import options
from retouch.launcher.server import free_port


@pytest.mark.parametrize("url", ["127.0.0.1:8001", "localhost:8001", "[::1]:8001", "127.9.9.9:1"])
def test_loopback_is_never_proxied(url):
    assert ("grpc.enable_http_proxy", 0) in options(url)


@pytest.mark.parametrize("url", ["10.0.0.1:8001", "edits.example.com:8001"])
def test_other_machines_are_reached_by_the_proxy(url):
    assert not any(name == "grpc.enable_http_proxy" for name, _ in options(url))


@pytest.mark.parametrize(
    "variable", ["http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "ALL_PROXY"]
)
@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
def test_no_client_asks_the_proxy(monkeypatch, variable, http):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        assert not Retouch(f"127.0.0.1:{free_port()}", http=http).ready()
        proxy.settimeout(0.2)
        with pytest.raises(TimeoutError):
            proxy.accept()


@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
def test_an_asyncio_client_outlives_its_loop(http):
    """Without a server: what is told is that, in every loop."""
    client = AsyncRetouch(f"127.0.0.1:{free_port()}", http=http, retries=Retries(attempts=1))

    async def ask():
        with pytest.raises(RequestError, match="no server answers"):
            await client.lanes()
        return await client.ready()

    async def close():
        await client.close()

    assert [asyncio.run(ask()) for _ in range(3)] == [False] * 3
    thread = threading.Thread(target=asyncio.run, args=(ask(),))
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    asyncio.run(close())


@pytest.mark.parametrize(
    "message",
    [
        (
            "Server is stopping, scheduler for model 'edit' has stopped accepting new inference "
            "requests"
        ),
        (
            "[request id: 1f] Server is stopping, scheduler for model 'vl_parser' has stopped "
            "accepting new inference requests"
        ),
        (
            "in ensemble 'edit_ensemble', Server is stopping, scheduler for model 'preprocess' has "
            "stopped accepting new inference requests"
        ),
        (
            "the server is stopping and takes no new edits; send the edit again later "
            "[code=UNAVAILABLE]"
        ),
        "Server not ready",
    ],
)
def test_a_server_that_stops_is_unavailable(message):
    failure = read_error(message, "INVALID_ARGUMENT")
    assert failure.code == "UNAVAILABLE" and Retries().pause(failure, 1) is not None
