"""Another turn is chosen: undo, redo or a thumbnail.

Each event drops the running edit, as its answers would replace the chosen turn.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from retouch_clients.web import page_images
from retouch_clients.web.layout import Layout
from retouch_clients.web.running_edits import RunningEdits
from retouch_clients.web.turn_store import TurnStore
from retouch_clients.web.turn_view import TurnView, Updates, tab_of
from retouch_clients.web.turns import History


class TurnEvents:
    """Handlers whose `history` is None after Gradio has dropped the tab's state."""

    def __init__(self, page: Layout, view: TurnView, edits: RunningEdits, store: TurnStore):
        self._page = page
        self._view = view
        self._edits = edits
        self._store = store

    def undone(self, history: History | None, request: gr.Request) -> Updates:
        return self._show(history and history.undone(), request)

    def redone(self, history: History | None, request: gr.Request) -> Updates:
        return self._show(history and history.redone(), request)

    def selected(
        self, history: History | None, event: gr.SelectData, request: gr.Request
    ) -> Updates:
        return self._show(history and history.moved(event.index), request)

    def region_image(self, history: History | None) -> Any:
        """The current turn's source image with its region outlined; None for the first turn."""
        if history is None or history.before is None:
            return None
        info = history.current.info
        if info is None or info.region is None:
            return None
        return page_images.outlined(history.before.image, info.region, info.operations)

    def _show(self, history: History | None, request: gr.Request) -> Updates:
        self._edits.drop(tab_of(request))
        if history is None:
            return self._view.expired()
        self._store.keep(tab_of(request), history)
        return self._view.current_turn(history)
