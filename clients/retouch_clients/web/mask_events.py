"""The mask editor, and the choice where the image may change."""

from __future__ import annotations

from typing import Any

import gradio as gr

from retouch.api.errors import RequestError
from retouch_clients.web import page_images
from retouch_clients.web.layout import AUTO, FULL, MASK, PAINT, Layout
from retouch_clients.web.mask import is_painted, mask_file
from retouch_clients.web.turn_view import Updates

CANVAS = 1024  # pixels of the longer side of the image in the mask editor


class MaskEvents:
    def __init__(self, page: Layout):
        self._page = page

    def where_selected(self, values: dict[Any, Any]) -> Updates:
        """Show the mask editor after “Where I paint”."""
        paint = values[self._page.where] == PAINT and values[self._page.history] is not None
        return {self._page.stage: gr.update(selected=MASK) if paint else gr.skip()}

    def opened(self, values: dict[Any, Any]) -> Updates:
        """Show the current image in the mask editor and keep what is painted."""
        history = values[self._page.history]
        if history is None:
            return {self._page.mask: None}
        canvas = page_images.shrunk(history.current.image, CANVAS)
        layers = [layer for layer in self._layers(values) if layer.shape[1::-1] == canvas.size]
        return {self._page.mask: {"background": canvas, "layers": layers, "composite": None}}

    def painted(self, values: dict[Any, Any]) -> Updates:
        """Select “Where I paint” after a stroke. Gradio also sends this event for a new canvas."""
        return {self._page.where: PAINT if is_painted(self._layers(values)) else gr.skip()}

    def region(self, values: dict[Any, Any], image: bytes) -> bytes:
        """REGION of an edit of `image`; RequestError if a mask is needed and nothing is painted."""
        where = values[self._page.where]
        if where != PAINT:
            return {AUTO: b"auto", FULL: b"full"}[where]
        layers = self._layers(values)
        if not is_painted(layers):
            raise RequestError(
                "Nothing is painted yet: paint over what may change, or choose “Where the sentence "
                "says”",
                field="REGION",
            )
        return mask_file(layers, page_images.size_of(image))

    def _layers(self, values: dict[Any, Any]) -> list[Any]:
        return (values[self._page.mask] or {}).get("layers", [])
