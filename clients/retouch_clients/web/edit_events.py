"""An edit is started or stopped."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from retouch.api.errors import Cancelled, RequestError
from retouch.api.limits import MAX_PREVIEWS
from retouch.api.request import EditOptions
from retouch.api.response import EditAnswer
from retouch_clients.feedback.finished_edit import FinishedEdit
from retouch_clients.feedback.records import PAGE
from retouch_clients.feedback.service import FeedbackService
from retouch_clients.shipped_checkpoint import abilities
from retouch_clients.web import html, page_images, text
from retouch_clients.web.layout import PICTURE, Layout
from retouch_clients.web.mask_events import MaskEvents
from retouch_clients.web.running_edits import Dropped, RunningEdits
from retouch_clients.web.turn_store import TurnStore
from retouch_clients.web.turn_view import READY, TurnView, Updates, cached_file, tab_of
from retouch_clients.web.turns import History


class EditEvents:
    def __init__(
        self,
        page: Layout,
        view: TurnView,
        edits: RunningEdits,
        store: TurnStore,
        masks: MaskEvents,
        feedback: FeedbackService | None = None,
    ):
        self._page = page
        self._view = view
        self._edits = edits
        self._store = store
        self._masks = masks
        self._feedback = feedback

    def suggested(self, sentence: str) -> str:
        """The instruction of a chosen suggestion."""
        return sentence

    def stopped(self, request: gr.Request) -> None:
        self._edits.stop(tab_of(request))

    async def edited(self, values: dict[Any, Any], request: gr.Request) -> AsyncIterator[Updates]:
        """Edit the current turn and show the previews and the result."""
        page = self._page
        history = values[page.history]
        try:
            options = self._options(values, history)
        except RequestError as failure:
            yield {page.status: self._view.trouble(failure, running=True)}
            return
        yield {
            **self._view.busy(True),
            page.stage: gr.update(selected=PICTURE),
            **page.suggestions.updates(),
            page.refusal: gr.update(visible=False),
            page.photo: cached_file(history.current.image, "before"),
            page.status: html.status("Reading the picture and the sentence …", "busy"),
        }
        instruction = values[page.instruction] or ""
        try:
            async for update in self.answers(history, instruction, options, tab_of(request)):
                yield update
        except Dropped:
            # Gradio sends the last update twice, and that would be a preview
            yield {page.status: gr.skip()}
        except Cancelled:
            stopped = html.status("Stopped. The picture is unchanged.")
            yield {**self._view.current_turn(history), page.status: stopped}
        except RequestError as failure:
            running = await self._edits.ready()
            trouble = self._view.trouble(failure, running)
            suggestions = page.suggestions.updates(failure.examples)
            yield {**self._view.current_turn(history), **suggestions, page.status: trouble}

    async def answers(
        self, history: History, instruction: str, options: EditOptions, tab: str
    ) -> AsyncIterator[Updates]:
        """Updates for the previews, and for the result once the server has ended the stream.

        Gradio repeats the last update at the end. An earlier result could then overwrite a turn
        that was chosen meanwhile."""
        page = self._page
        image = history.current.image
        size = page_images.size_of(image)
        final: EditAnswer | None = None
        async for answer in self._edits.answers(tab, image, instruction, **options):
            if answer.final:
                final = answer
            else:
                done, total = answer.step
                yield {
                    page.photo: page_images.shaped(answer.image, size),
                    page.status: html.status(f"Step {done} of {total} …", "busy"),
                }
        if final is not None:
            self._record(image, final)
            edited = history.added(final.image, instruction, final.info)
            self._store.keep(tab, edited)
            yield {
                **self._view.current_turn(edited),
                page.seed: final.info.seed,
                page.abilities: self._view.abilities(abilities.behind(final.info)),
                page.status: html.status(text.done(final.info)),
            }

    def _record(self, source: bytes, answer: EditAnswer) -> None:
        """Note a result, so that feedback on it can be taken."""
        request_id = answer.info.request_id
        if self._feedback and request_id:
            now = time.time()
            edit = FinishedEdit(request_id, source, answer.image, answer.info, now, PAGE, PAGE)
            self._feedback.record(edit)

    def _options(self, values: dict[Any, Any], history: History | None) -> EditOptions:
        """EditRequest's fields without image and instruction.

        RequestError if there is no image or no painted mask."""
        if history is None:
            raise RequestError(f"There is no picture to edit yet. {READY}", field="IMAGE")
        page = self._page
        references = values[page.references] or ()
        options: EditOptions = {
            "previews": MAX_PREVIEWS,
            "region": self._masks.region(values, history.current.image),
            "precision": values[page.precision],
            "steps": values[page.more_steps] or values[page.steps],
            "format": values[page.format],
            "guidance": values[page.guidance],
            "negative": values[page.negative] or "",
            "true_cfg": values[page.true_cfg],
            "step_cache": values[page.step_cache],
            "on_unknown": "warn" if values[page.unknown] else "refuse",
            "deadline_ms": values[page.deadline] or 0,
            "references": tuple(Path(path).read_bytes() for path in references),
        }
        if not values[page.random] and values[page.seed] is not None:
            options["seed"] = values[page.seed]
        return options
