"""The page as an ASGI app with its checks: host, origin, password and body size."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr
from fastapi import FastAPI
from gradio.routes import App as GradioApp
from starlette.routing import Mount

from retouch.api.limits import MAX_IMAGE_BYTES
from retouch_clients.openai_api.hosts import HostCheck
from retouch_clients.openai_api.limits import MAX_BODY_BYTES
from retouch_clients.web.app import App
from retouch_clients.web.bodies import PageBodyLimit
from retouch_clients.web.origins import OriginCheck
from retouch_clients.web.password import PasswordCheck
from retouch_clients.web.theme import LABELS, STYLE, theme
from retouch_clients.web.turn_store import TABS


def guarded_page(app: App, password: str = "", hosts: Sequence[str] = ()) -> FastAPI:
    """`app` behind its checks: the password, if not "", and the Host header.

    Accepted hosts are loopback names, the address that was connected to, and `hosts`."""
    app.blocks.state_session_capacity = TABS
    outer = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        outer,
        app.blocks,
        path="/",
        app_kwargs={"lifespan": app.edits.connected},
        ssr_mode=False,
        mcp_server=False,
        run_history=False,
        footer_links=[],
        max_file_size=MAX_IMAGE_BYTES,
        theme=theme(),
        css_paths=STYLE,
        js=LABELS.read_text(),
    )
    # the app whose streams end when the blocks are closed
    mounted = [route.app for route in outer.routes if isinstance(route, Mount)]
    app.blocks.app = next(inner for inner in mounted if isinstance(inner, GradioApp))
    outer.add_middleware(PageBodyLimit, limit=MAX_BODY_BYTES)
    outer.add_middleware(OriginCheck, allowed=hosts)
    if password:
        outer.add_middleware(PasswordCheck, password=password)
    outer.add_middleware(HostCheck, allowed=hosts)
    return outer
