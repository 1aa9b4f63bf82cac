"""Serve the page, on loopback or beyond, until it is stopped, and leave no file behind."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from socket import socket
from typing import TYPE_CHECKING

from retouch.launcher.secret import is_loopback
from retouch.launcher.server import HOST, ServerError
from retouch.util import env
from retouch_clients.addresses.listening import listen, shown

if TYPE_CHECKING:
    from uvicorn import Server

FOLDER = env.GRADIO_FOLDER.name
FIRST_PORT = 7860
PORTS = 100  # where a free one is looked for
START_SECONDS = 60.0
GRACE = 2  # seconds for what is running, when it is stopped
PASSWORD = "set RETOUCH_WEB_PASSWORD, or name a file by --password-file, to ask them for a password"


@dataclass(frozen=True)
class Options:
    """What `retouch web` may be told. Port 0 is any, None the first that is free from 7860 on."""

    port: int | None = None
    host: str = HOST
    allowed_hosts: tuple[str, ...] = ()
    password: str = field(default="", repr=False)

    @property
    def public(self) -> bool:
        """Whether others than this machine may reach it."""
        return not is_loopback(self.host)


def check_access(options: Options) -> None:
    """ServerError where others could reach the page without a password."""
    if options.public and not options.password:
        raise ServerError(f"{options.host} can be reached by others; {PASSWORD}")


@contextlib.contextmanager
def served(address: str, options: Options = Options()) -> Iterator[str]:
    """The page of the server at `address` (host:port of gRPC); yields the page's URL.

    ServerError: the port cannot be had, or others could reach the page without a password.
    """
    check_access(options)
    with (
        _listening(options) as listening,
        tempfile.TemporaryDirectory(prefix="retouch-web-") as folder,
        # Gradio reads it when it is imported, and at every use
        env.GRADIO_FOLDER.set_to(folder),
    ):
        try:
            import uvicorn

            from retouch_clients.openai_api.protocol import guarded
            from retouch_clients.web.app import App
            from retouch_clients.web.guarded_page import guarded_page
        except ImportError as failure:
            raise ServerError(
                f"the page needs the package {failure.name}; `make web` installs it"
            ) from None
        app = App(address)
        server = uvicorn.Server(
            guarded(guarded_page(app, options.password, options.allowed_hosts), GRACE)
        )
        with _running(server, listening):
            try:
                yield f"http://{shown(options.host)}:{listening.getsockname()[1]}"
            finally:
                app.blocks.close(verbose=False)


@contextlib.contextmanager
def _running(server: Server, listening: socket) -> Iterator[None]:
    """uvicorn in a thread of its own."""
    thread = threading.Thread(target=server.run, args=([listening],), name="page", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise ServerError("the page has not started")
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(GRACE + 10)


def _listening(options: Options) -> socket:
    if options.port is not None:
        return listen(options.host, options.port)
    for port in range(FIRST_PORT, FIRST_PORT + PORTS):
        with contextlib.suppress(ServerError):
            return listen(options.host, port)
    return listen(options.host, FIRST_PORT)  # says what is wrong
