"""Updates of the page's components that show a turn, an empty page or an error."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from retouch.api.errors import RequestError
from retouch_clients.web import html, page_images, text
from retouch_clients.web.layout import AUTO, COMPARE, PICTURE, Layout
from retouch_clients.web.turns import History

THUMBNAIL = 160  # pixels of the longer side
READY = "Drop a picture, or choose one of the examples."
ASK = "Say what should change, then press Enter."
EXPIRED = f"The pictures on this page were not edited for long and have expired. {READY}"
NOT_UNDERSTOOD = "INSTRUCTION_NOT_UNDERSTOOD"

Updates = dict[Any, Any]  # new value or gr.update by component


def tab_of(request: gr.Request) -> str:
    """The key of the tab that sent an event. A call that no page sent has none ("")."""
    return request.session_hash or ""


class TurnView:
    """What the page shows, as updates of its components."""

    def __init__(self, page: Layout, address: str):
        self._page = page
        self._address = address  # host:port of the server, for error messages

    def current_turn(self, history: History) -> Updates:
        """The current turn: its image, its source image and the turns around it."""
        page = self._page
        turn = history.current
        before = history.before
        file = cached_file(turn.image, f"retouch-{history.at}")
        edited = before is not None
        place = f"This is turn {history.at}." if edited else "This is the original picture."
        return {
            page.history: history,
            page.photo: file,
            page.refusal: gr.update(visible=False),
            page.stage: gr.update(selected=COMPARE if edited else PICTURE),
            page.compare_tab: gr.update(visible=edited),
            page.region_tab: gr.update(visible=edited),
            page.beginnings: gr.update(visible=False),
            page.compare: (cached_file(before.image, "before"), file) if edited else None,
            page.turns: gr.update(visible=len(history.turns) > 1),
            page.thumbnails: gr.update(value=_thumbnails(history), selected_index=history.at),
            page.undo: gr.update(interactive=edited),
            page.redo: gr.update(interactive=history.redoable is not None),
            page.download: gr.update(value=file),
            page.details: html.details(turn),
            **self.busy(False),
            **page.suggestions.updates(),
            **page.rating.updates(turn),
            page.status: html.status(f"{place} {ASK}"),
        }

    def empty(self) -> Updates:
        """The page without an image."""
        page = self._page
        hidden = gr.update(visible=False)
        return {
            page.history: None,
            page.photo: None,
            page.refusal: gr.update(visible=False),
            page.mask: None,
            page.where: AUTO,
            page.compare: None,
            page.stage: gr.update(selected=PICTURE),
            page.compare_tab: hidden,
            page.region_tab: hidden,
            page.mask_tab: hidden,
            page.turns: hidden,
            page.beginnings: gr.update(visible=page.has_examples),
            page.details: html.details(None),
            page.status: html.status(READY),
            **page.suggestions.updates(),
            **page.rating.updates(None),
            **self.busy(False),
        }

    def expired(self) -> Updates:
        """The empty page after its turns have expired."""
        outputs = self._page.turn_components()
        updates = {name: update for name, update in self.empty().items() if name in outputs}
        return {**updates, self._page.status: html.status(EXPIRED, "trouble")}

    def rejected(self, image: bytes, history: History | None, failure: RequestError) -> Updates:
        """The error of an uploaded image that cannot be edited.

        The current turn stays. Without one, the uploaded image stays visible if a browser can show
        it."""
        page = self._page
        message = text.trouble(failure, True, self._address)
        gr.Warning(escape(message))
        if history is not None:
            updates = {**self.current_turn(history), page.stage: gr.update(selected=PICTURE)}
        else:
            updates = self.empty()
            if page_images.is_displayable(image):
                updates[page.photo] = gr.skip()
        return {
            **updates,
            page.refusal: gr.update(value=html.refusal(message), visible=True),
            page.status: html.status(message, "trouble"),
        }

    def busy(self, busy: bool) -> Updates:
        """Swap the buttons Edit and Stop."""
        return {
            self._page.edit: gr.update(visible=not busy),
            self._page.stop: gr.update(visible=busy),
        }

    def abilities(self, sentences: str) -> Any:
        """What the checkpoint can do; hidden if unknown ("")."""
        return gr.update(value=html.abilities(sentences), visible=bool(sentences))

    def trouble(self, failure: RequestError, running: bool) -> str:
        """The status line of a failed edit."""
        kind = "hint" if failure.code == NOT_UNDERSTOOD else "trouble"
        return html.status(text.trouble(failure, running, self._address), kind)


def cached_file(image: bytes, name: str) -> str:
    """The path of the unchanged bytes in Gradio's cache, which removes old files."""
    return save_bytes_to_cache(image, f"{name}.{page_images.suffix_of(image)}", get_upload_folder())


def _thumbnails(history: History) -> list[tuple[Any, str]]:
    captions = ["The picture"]
    for number, turn in enumerate(history.turns[1:], 1):
        captions.append(f"Turn {number}: {turn.instruction}")
    return [
        (page_images.shrunk(turn.image, THUMBNAIL), caption)
        for turn, caption in zip(history.turns, captions)
    ]
