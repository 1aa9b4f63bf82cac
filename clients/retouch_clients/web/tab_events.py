"""A tab is opened or closed."""

from __future__ import annotations

from typing import Any

import gradio as gr

from retouch.api.errors import RequestError
from retouch.api.lanes import LANES, precision_of
from retouch_clients.shipped_checkpoint import abilities
from retouch_clients.web import html
from retouch_clients.web.layout import POLICIES, Layout
from retouch_clients.web.running_edits import RunningEdits
from retouch_clients.web.turn_store import TurnStore
from retouch_clients.web.turn_view import READY, TurnView, Updates, tab_of
from retouch_clients.web.turns import History


class TabEvents:
    def __init__(self, page: Layout, view: TurnView, edits: RunningEdits, store: TurnStore):
        self._page = page
        self._view = view
        self._edits = edits
        self._store = store

    async def opened(self, values: dict[Any, Any], request: gr.Request) -> Updates:
        """Show the turns that the tab had before, the loaded lanes, and whether a server runs."""
        page = self._page
        lanes = sorted(await self._edits.lanes(), key=lambda lane: LANES.index(precision_of(lane)))
        history = self._store.open_tab(tab_of(request), values[page.token])
        if history:
            updates = self._view.current_turn(history)
        else:
            updates = {page.status: html.status(READY), page.details: html.details(None)}
        if not await self._edits.ready():
            updates[page.status] = self._view.trouble(RequestError(""), running=False)
        return {
            **updates,
            page.abilities: self._view.abilities(self._abilities(history)),
            page.precision: gr.update(choices=[*POLICIES, *((lane, lane) for lane in lanes)]),
        }

    def closed(self, request: gr.Request) -> None:
        """Drop the tab's edit."""
        self._edits.drop(tab_of(request))
        self._store.close_tab(tab_of(request))

    def _abilities(self, history: History | None) -> str:
        """What the checkpoint can do, known from an edit or, before one, from the address."""
        info = history.current.info if history else None
        return abilities.behind(info) if info else abilities.expected_at(self._edits.address)
