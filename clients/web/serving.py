"""Serve the page on 127.0.0.1 until it is stopped, and leave no file behind."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

from retouch.server import HOST, ServerError, free_port
from retouch.types import MAX_IMAGE_BYTES

TABS = 64  # whose turns are kept; beyond, those that were idle longest are forgotten
FOLDER = "GRADIO_TEMP_DIR"


@contextlib.contextmanager
def served(address: str, port: int | None = None) -> Iterator[str]:
    """The page of the server at `address` (host:port of gRPC); yields the page's URL.

    `port` is the page's: 0 is any, and without it the first that is free from 7860 on. ServerError when it cannot be
    had.
    """
    with tempfile.TemporaryDirectory(prefix="retouch-web-") as folder, _kept_in(folder):
        try:
            from clients.web.app import App
            from clients.web.theme import LABELS, STYLE, theme
        except ImportError as failure:
            raise ServerError(f"the page needs the package {failure.name}; `make web` installs it") from None
        app = App(address)
        try:
            _, url, _ = app.blocks.launch(
                server_name=HOST, server_port=free_port() if port == 0 else port, prevent_thread_lock=True, quiet=True,
                share=False, mcp_server=False, ssr_mode=False, run_history=False, footer_links=[],
                max_file_size=MAX_IMAGE_BYTES, state_session_capacity=TABS, theme=theme(), css_paths=STYLE,
                js=LABELS.read_text(),
                app_kwargs={"lifespan": app.edits.connected})
        except OSError:
            raise ServerError(f"port {port} of {HOST} is in use; name another one with --port") from None
        try:
            yield url.rstrip("/")
        finally:
            app.blocks.close(verbose=False)


@contextlib.contextmanager
def _kept_in(folder: str) -> Iterator[None]:
    """Where Gradio has uploads, pictures and results: it reads that from the environment at every use."""
    before = os.environ.get(FOLDER)
    os.environ[FOLDER] = folder
    try:
        yield
    finally:
        os.environ.pop(FOLDER)
        if before is not None:
            os.environ[FOLDER] = before
