"""Serve the page until it is stopped, and leave no files behind."""

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
from retouch_clients.addresses.listening import listen, url_host
from retouch_clients.feedback.settings import Settings

if TYPE_CHECKING:
    from uvicorn import Server

FOLDER_VARIABLE = env.GRADIO_FOLDER.name
FIRST_PORT = 7860
PORTS = 100  # ports to try from FIRST_PORT on
START_SECONDS = 60.0
GRACE = 2  # seconds for running requests after a stop
PASSWORD_ADVICE = "set RETOUCH_WEB_PASSWORD or --password-file to require a password"


@dataclass(frozen=True)
class Options:
    """The options of `retouch web`. Port 0: any free port; None: the first free one from 7860."""

    port: int | None = None
    host: str = HOST
    allowed_hosts: tuple[str, ...] = ()
    password: str = field(default="", repr=False)
    feedback: Settings | None = None

    @property
    def public(self) -> bool:
        """Whether other machines can reach the page."""
        return not is_loopback(self.host)


def check_access(options: Options) -> None:
    """ServerError if other machines could reach the page without a password."""
    if options.public and not options.password:
        raise ServerError(f"other machines can reach {options.host}; {PASSWORD_ADVICE}")


@contextlib.contextmanager
def served(address: str, options: Options = Options()) -> Iterator[str]:
    """Serve the page of the server at `address` (host:port of gRPC) and yield the page's URL.

    ServerError if the port is unavailable, or other machines could use it without a password.
    """
    check_access(options)
    with (
        _listening(options) as listening,
        tempfile.TemporaryDirectory(prefix="retouch-web-") as folder,
        # Gradio reads the variable at import and at every use
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
        app = App(address, options.feedback)
        server = uvicorn.Server(
            guarded(guarded_page(app, options.password, options.allowed_hosts), GRACE)
        )
        with app.recording(), _running(server, listening):
            try:
                yield f"http://{url_host(options.host)}:{listening.getsockname()[1]}"
            finally:
                # Gradio sets an event of another thread, whose tabs may be leaving it just then
                with contextlib.suppress(RuntimeError):
                    app.blocks.close(verbose=False)


@contextlib.contextmanager
def _running(server: Server, listening: socket) -> Iterator[None]:
    """Run uvicorn in a thread until the block ends."""
    thread = threading.Thread(target=server.run, args=([listening],), name="page", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise ServerError("the page did not start")
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
    return listen(options.host, FIRST_PORT)  # raises the error
