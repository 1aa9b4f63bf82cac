"""A row of pictures to choose from."""

from __future__ import annotations

import gradio as gr


def strip(label: str, name: str, pictures: list[tuple[str, str]] | None = None) -> gr.Gallery:
    """A row of `pictures`, each a file and its caption."""
    return gr.Gallery(
        pictures,
        label=label,
        show_label=False,
        allow_preview=False,
        fit_columns=False,
        buttons=[],
        interactive=False,
        elem_id=name,
        elem_classes="strip",
    )
