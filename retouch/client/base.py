"""What both clients are made of."""

from __future__ import annotations

from retouch.api.errors import RequestError
from retouch.client.errors import host_port
from retouch.client.retry import Retries


class Client:
    """A server at `url` (host:port), over gRPC or, with `http`, over HTTP's generate_stream, and
    its door `model`.

    `timeout` is how many seconds an edit may take with all its attempts, None without end;
    `retries` says when an edit that the server could not take is sent again. With `shared_memory`
    images do not travel in the messages, but lie in /dev/shm for a server on the same machine (gRPC
    alone); a client that uses it wants to be closed, for the server keeps what it was shown until
    then. That needs the `secret` of the server's start; without one it is read from its file, where
    this user may. RequestError when the address is none, or the options do not fit each other."""

    _kind: str  # of a protocol's classes: Blocking or Asynchronous

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
        if http:  # a protocol's packages are loaded where it is wanted
            if shared_memory:
                raise RequestError(
                    "shared memory goes with gRPC; leave out http=True or shared_memory=True"
                )
            from retouch.client import http as protocol

            self._over = getattr(protocol, self._kind)(url, model)
        else:
            from retouch.client import grpc as protocol
            from retouch.client.shared_memory import Regions

            self._over = getattr(protocol, self._kind)(
                url, model, Regions(url, secret) if shared_memory else None
            )
