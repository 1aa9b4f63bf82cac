"""Writes a document as one HTML page without external files."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from benchmarks.report.document import Document

TEMPLATE = "page.html"
MARKDOWN = MarkdownIt("commonmark", {"html": False})
SPREAD = re.compile(r" (\([^()]*–[^()]*\))")


def write(document: Document, out: Path) -> Path:
    """`out` gets report.html."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["markdown"] = lambda text: Markup(MARKDOWN.renderInline(text))
    environment.filters["cell"] = lambda text: Markup(
        SPREAD.sub(r" <i>\1</i>", MARKDOWN.renderInline(text))
    )
    environment.filters["kind"] = lambda block: type(block).__name__
    path = out / "report.html"
    path.write_text(environment.get_template(TEMPLATE).render(document=document))
    return path
