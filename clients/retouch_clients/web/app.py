"""The page: its components, and the handlers of their events."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import gradio as gr

from retouch_clients.feedback.service import FeedbackService
from retouch_clients.feedback.settings import Settings
from retouch_clients.shipped_checkpoint.examples import examples
from retouch_clients.web.edit_events import EditEvents
from retouch_clients.web.image_events import ImageEvents
from retouch_clients.web.layout import Layout
from retouch_clients.web.mask_events import MaskEvents
from retouch_clients.web.rating_events import RatingEvents
from retouch_clients.web.running_edits import RunningEdits
from retouch_clients.web.tab_events import TabEvents
from retouch_clients.web.theme import TOKEN
from retouch_clients.web.turn_events import TurnEvents
from retouch_clients.web.turn_store import TurnStore
from retouch_clients.web.turn_view import TurnView

CACHE = (600, 3600)  # seconds: interval of the clean-up, and age of the files that it removes
# edits of all tabs; others wait in the server's queue, which reports when it is full
CONCURRENT_EDITS = 32
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class App:
    """The page of one server at host:port. Each tab has its own state."""

    def __init__(self, address: str, feedback: Settings | None = None):
        self.feedback = FeedbackService(feedback) if feedback else None
        self.edits = RunningEdits(address)
        store = TurnStore()
        shown_examples = examples()
        with gr.Blocks(title="Retouch", analytics_enabled=False, delete_cache=CACHE) as self.blocks:
            self.page = Layout(shown_examples, self.feedback is not None)
            self.view = TurnView(self.page, address)
            self.tabs = TabEvents(self.page, self.view, self.edits, store)
            self.images = ImageEvents(self.page, self.view, self.edits, store, shown_examples)
            self.turns = TurnEvents(self.page, self.view, self.edits, store)
            self.masks = MaskEvents(self.page)
            self.editing = EditEvents(
                self.page, self.view, self.edits, store, self.masks, self.feedback
            )
            self._wire_tab()
            self._wire_images()
            self._wire_turns()
            self._wire_edit()
            if self.feedback:
                self._wire_rating(RatingEvents(self.page, self.feedback))
        self.blocks.queue(
            default_concurrency_limit=None, max_size=4 * CONCURRENT_EDITS, api_open=False
        )

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Results are recorded for feedback until the block ends."""
        try:
            yield
        finally:
            if self.feedback:
                self.feedback.close()

    def _wire_tab(self) -> None:
        page = self.page
        outputs = [*page.turn_components(), page.precision]
        token = TOKEN.read_text()
        self.blocks.load(self.tabs.opened, {page.token}, outputs, js=token, **QUIET)
        self.blocks.unload(self.tabs.closed)

    def _wire_images(self) -> None:
        page = self.page
        outputs = [*page.turn_components(), page.where, page.mask_tab, page.mask]
        page.photo.upload(self.images.uploaded, {page.photo, page.history}, outputs, **QUIET)
        page.photo.clear(self.images.cleared, None, outputs, **QUIET)
        page.restart.click(self.images.cleared, None, outputs, **QUIET)
        page.examples.select(self.images.example_selected, None, outputs, **QUIET)

    def _wire_turns(self) -> None:
        page = self.page
        outputs = page.turn_components()
        page.undo.click(self.turns.undone, page.history, outputs, **QUIET)
        page.redo.click(self.turns.redone, page.history, outputs, **QUIET)
        page.thumbnails.select(self.turns.selected, page.history, outputs, **QUIET)
        page.region_tab.select(self.turns.region_image, page.history, page.region, **QUIET)

    def _wire_rating(self, events: RatingEvents) -> None:
        rating = self.page.rating
        inputs = {self.page.history, rating.reason}
        rating.up.click(events.rated_up, inputs, [rating.status], **QUIET)
        rating.down.click(events.rated_down, inputs, [rating.status], **QUIET)

    def _wire_edit(self) -> None:
        page = self.page
        gr.on(
            [page.edit.click, page.instruction.submit],
            self.editing.edited,
            page.edit_inputs(),
            page.turn_components(),
            trigger_mode="once",
            concurrency_limit=CONCURRENT_EDITS,
            **QUIET,
        )
        for button in page.suggestions.buttons:
            button.click(self.editing.suggested, button, page.instruction, **QUIET)
        page.stop.click(self.editing.stopped, None, None, queue=False, **QUIET)
        page.where.select(
            self.masks.where_selected, {page.where, page.history}, page.stage, **QUIET
        )
        page.mask_tab.select(self.masks.opened, {page.history, page.mask}, page.mask, **QUIET)
        page.mask.input(self.masks.painted, {page.mask}, page.where, **QUIET)
