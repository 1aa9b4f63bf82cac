"""Thumbs up and down and a reason, below a result."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.blocks import BlockContext
from gradio.components import Component

from retouch_clients.feedback.records import MAX_REASON
from retouch_clients.web import html
from retouch_clients.web.turns import Turn


class Rating:
    """The components, or none where the page takes no feedback. Create it inside `gr.Blocks`."""

    def __init__(self, is_on: bool):
        self.is_on = is_on
        if not is_on:
            return
        with gr.Column(visible=False, elem_id="rating") as self.column:
            gr.HTML('<p class="strip-title">Is this edit what you asked for?</p>')
            with gr.Row(equal_height=True):
                self.up = gr.Button("👍 Good", size="sm", min_width=80, elem_id="rate-up")
                self.down = gr.Button("👎 Bad", size="sm", min_width=80, elem_id="rate-down")
                self.reason = gr.Textbox(
                    label="Why? (optional)",
                    max_lines=3,
                    max_length=MAX_REASON,
                    scale=8,
                    min_width=200,
                    elem_id="rate-reason",
                )
            self.status = gr.HTML(elem_id="rate-status")

    def components(self) -> list[Component | BlockContext]:
        return [self.column, self.reason, self.status] if self.is_on else []

    def updates(self, turn: Turn | None) -> dict[Any, Any]:
        """Updates of the components for a turn; hidden for one that cannot be rated."""
        if not self.is_on:
            return {}
        is_rated = turn is not None and turn.info is not None and bool(turn.info.request_id)
        return {self.column: gr.update(visible=is_rated), self.reason: "", self.status: ""}

    def stored(self) -> str:
        return html.status("Thank you. Your feedback is stored.")

    def trouble(self, message: str) -> str:
        return html.status(f"Your feedback is not stored: {message}.", "trouble")
