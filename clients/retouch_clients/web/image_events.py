"""An image is uploaded, chosen among the examples, or cleared.

Each event drops the running edit, as its answers would replace what the page now shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from retouch.api.errors import RequestError
from retouch_clients.shipped_checkpoint.examples import Example
from retouch_clients.web import page_images
from retouch_clients.web.layout import AUTO, Layout
from retouch_clients.web.running_edits import RunningEdits
from retouch_clients.web.turn_store import TurnStore
from retouch_clients.web.turn_view import TurnView, Updates, tab_of
from retouch_clients.web.turns import History


class ImageEvents:
    def __init__(
        self,
        page: Layout,
        view: TurnView,
        edits: RunningEdits,
        store: TurnStore,
        examples: Sequence[Example],
    ):
        self._page = page
        self._view = view
        self._edits = edits
        self._store = store
        self._examples = examples

    def uploaded(self, values: dict[Any, Any], request: gr.Request) -> Updates:
        self._edits.drop(tab_of(request))
        image = Path(values[self._page.photo]).read_bytes()
        try:
            page_images.size_of(image)
        except RequestError as failure:
            return self._view.rejected(image, values.get(self._page.history), failure)
        return self._begin(image, request)

    def example_selected(self, event: gr.SelectData, request: gr.Request) -> Updates:
        self._edits.drop(tab_of(request))
        example = self._examples[event.index]
        updates = self._begin(example.image.read_bytes(), request)
        return {**updates, self._page.instruction: example.instruction}

    def cleared(self, request: gr.Request) -> Updates:
        self._edits.drop(tab_of(request))
        self._store.forget(tab_of(request))
        return self._view.empty()

    def _begin(self, image: bytes, request: gr.Request) -> Updates:
        history = History.of(image)
        self._store.keep(tab_of(request), history)
        return {
            **self._view.current_turn(history),
            self._page.where: AUTO,
            self._page.mask: None,
            self._page.mask_tab: gr.update(visible=True),
        }
