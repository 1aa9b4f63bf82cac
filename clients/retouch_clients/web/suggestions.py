"""Sentences that the page offers where one was not understood, on a button each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.blocks import BlockContext
from gradio.components import Component

COUNT = 3


class Suggestions:
    """A row of buttons, hidden without sentences. Create it inside `gr.Blocks`."""

    def __init__(self) -> None:
        with gr.Row(visible=False, elem_id="suggestions") as self.row:
            self.buttons = [
                gr.Button(size="sm", min_width=120, visible=False, elem_classes="suggested")
                for _ in range(COUNT)
            ]

    def components(self) -> list[Component | BlockContext]:
        return [self.row, *self.buttons]

    def updates(self, sentences: Sequence[str] = ()) -> dict[Any, Any]:
        """Updates of the components that offer the first of these sentences."""
        shown = [*sentences, *[""] * COUNT][:COUNT]
        buttons = {
            button: gr.update(value=sentence, visible=bool(sentence))
            for button, sentence in zip(self.buttons, shown)
        }
        return {self.row: gr.update(visible=bool(sentences)), **buttons}
