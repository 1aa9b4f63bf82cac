"""The options of both clients, and the choice of their transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from retouch.api.errors import RequestError
from retouch.client.errors import host_port
from retouch.client.retry import Retries
from retouch.client.transport import AsyncTransport, Transport

if TYPE_CHECKING:
    from retouch.client.shared_memory import Regions

AnyTransport = TypeVar("AnyTransport", Transport, AsyncTransport)


class Client(Generic[AnyTransport]):
    """A client of the endpoint `model` of the server at `url` (host:port).

    It speaks gRPC, or with `http` HTTP's generate_stream. `timeout` limits an edit with all its
    attempts, in seconds; None is no limit. `retries` says when an edit is sent again after the
    server could not take it.

    `shared_memory` (gRPC only) puts images into /dev/shm for a server on the same machine. Close
    such a client: the server keeps its regions until then. It needs the `secret` of the server's
    start; without one the client reads the secret's file, if this user may.

    RequestError when `url` is no address or two options exclude one another."""

    def __init__(
        self,
        url: str = "127.0.0.1:8001",
        http: bool = False,
        model: str = "edit",
        *,
        timeout: float | None = None,
        retries: Retries = Retries(),
        shared_memory: bool = False,
        secret: str | None = None,
    ):
        self.url = host_port(url)
        self.http = http
        self.model = model
        self.timeout = timeout
        self.retries = retries
        if http and shared_memory:
            raise RequestError(
                "shared memory goes with gRPC; leave out http=True or shared_memory=True"
            )
        self._transport = (
            self._http_transport()
            if http
            else self._grpc_transport(_regions(url, secret) if shared_memory else None)
        )

    # each imports the packages of its protocol only when it is called

    def _http_transport(self) -> AnyTransport:
        raise NotImplementedError

    def _grpc_transport(self, regions: Regions | None) -> AnyTransport:
        raise NotImplementedError


def _regions(url: str, secret: str | None) -> Regions:
    from retouch.client.shared_memory import Regions

    return Regions(url, secret)
