"""The page's theme: Gradio's variables. style.css has the rest.

System fonts are used so that the page loads none from the internet."""

from __future__ import annotations

from pathlib import Path

from gradio.themes import Base, Default

STYLE = Path(__file__).with_name("style.css")
TOKEN = Path(__file__).with_name("token.js")
LABELS = Path(__file__).with_name("labels.js")


def theme() -> Base:
    """The theme. Text has a contrast of at least 4.5 to 1 in light and dark mode."""
    return Default(
        primary_hue="indigo",
        secondary_hue="indigo",
        neutral_hue="slate",
        radius_size="lg",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        body_background_fill="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_title_text_color="*neutral_800",
        block_title_text_weight="600",
        block_border_width="1px",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
        checkbox_label_background_fill_selected="*primary_600",
        checkbox_label_background_fill_selected_dark="*primary_600",
        checkbox_label_text_color_selected="white",
        checkbox_label_padding="6px 10px",
        checkbox_background_color_selected="*primary_600",
        checkbox_background_color_selected_dark="*primary_600",
        color_accent="*primary_600",
    )
