"""The documentation page at / and /docs, which loads nothing from the internet."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from retouch_clients.openai_api.parameters import Parameters

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
HEADERS = {"Content-Security-Policy": POLICY}
STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;
padding:0 1rem;color:#1c1c1c;background:#fff}
pre{background:#f3f3f3;padding:1rem;overflow:auto}
table{border-collapse:collapse}
td,th{border:1px solid #ccc;padding:.3rem .6rem;text-align:left;vertical-align:top}"""
CURL = """curl http://localhost:8080/v1/images/edits \\
  -H "Authorization: Bearer $KEY" \\
  -F image=@photo.png -F prompt="make the red circle blue" \\
  | python3 -c 'import base64, json, sys
image = json.load(sys.stdin)["data"][0]["b64_json"]
sys.stdout.buffer.write(base64.b64decode(image))' > edited.png"""
PICTURES = (
    (
        "image",
        "PNG, JPEG or WebP. The first is edited, further ones are references. "
        "In JSON: base64 text or a data: URL.",
    ),
    ("mask", "An image of the same size, transparent where the image may change."),
)


def add(app: FastAPI) -> None:
    """Add the page; it needs no API key."""

    @app.get("/", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()), headers=HEADERS)


def page(document: dict[str, Any]) -> str:
    """The page for an OpenAPI document."""
    routes = [
        (f"{method.upper()} {path}", operation.get("summary", ""))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    fields = [
        *PICTURES,
        *((name, field.description or "") for name, field in Parameters.model_fields.items()),
    ]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Retouch: OpenAI API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<h1>Retouch</h1><p>This server implements OpenAI's image editing API. Set the client's "
        f"base URL to this address followed by <code>/v1</code>.</p><pre>{escape(CURL)}</pre>"
        f"<h2>Routes</h2>{_table('Request', routes)}"
        f"<h2>Fields of POST /v1/images/edits</h2>{_table('Field', fields)}"
        f'<p>The OpenAPI document: <a href="/openapi.json">/openapi.json</a></p></html>'
    )


def _table(head: str, rows: list[tuple[str, str]]) -> str:
    body = "".join(f"<tr><td><code>{escape(name)}</code><td>{escape(text)}" for name, text in rows)
    return f"<table><tr><th>{head}<th>Meaning{body}</table>"
