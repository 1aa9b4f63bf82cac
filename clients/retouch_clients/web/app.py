"""What the page does: from events of Gradio to turns and edits, and back to what is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from retouch.api.errors import Cancelled, RequestError
from retouch.api.request import LANES, MAX_PREVIEWS, precision_of
from retouch.api.response import EditAnswer
from retouch_clients.shipped_checkpoint import abilities
from retouch_clients.shipped_checkpoint.examples import examples
from retouch_clients.web import html, text
from retouch_clients.web import page_images as picture
from retouch_clients.web.layout import AUTO, COMPARE, FULL, MASK, PAINT, PICTURE, WISHES, Layout
from retouch_clients.web.mask import is_painted, mask_file
from retouch_clients.web.running_edits import Dropped, Edits
from retouch_clients.web.theme import TOKEN
from retouch_clients.web.turn_store import KeptTurns
from retouch_clients.web.turns import History

KEPT = (600, 3600)  # seconds: every so often, files older than that are removed
SIDE_BY_SIDE = (
    32  # edits of all tabs; as many more wait in the door's own queue, which says when it is full
)
PAINTED = 1024  # pixels of the longer side of the picture that is painted on
THUMBNAIL = 160
READY = "Drop a picture, or choose one of the examples."
ASK = "Say what should change, then press Enter."
FORGOTTEN = f"The pictures of this page were not edited for long and are forgotten. {READY}"

Updates = dict[Any, Any]
Values = dict[Any, Any]


class App:
    """The page of one server, host:port, whose states are a tab's own."""

    def __init__(self, address: str):
        self.edits = Edits(address)
        self.kept = KeptTurns()
        self.examples = examples()
        with gr.Blocks(title="Retouch", analytics_enabled=False, delete_cache=KEPT) as self.blocks:
            self.page = Layout(self.examples)
            self._wire()
        self.blocks.queue(default_concurrency_limit=None, max_size=4 * SIDE_BY_SIDE, api_open=False)

    def _wire(self) -> None:
        page = self.page
        turn = self._turn()
        everything = turn | {page.where, page.mask_tab, page.mask}
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        self.blocks.load(
            self.opened, {page.token}, turn | {page.precision}, js=TOKEN.read_text(), **quiet
        )
        self.blocks.unload(self.left)
        page.photo.upload(self.dropped, {page.photo, page.history}, everything, **quiet)
        page.photo.clear(self.cleared, None, everything, **quiet)
        page.restart.click(self.cleared, None, everything, **quiet)
        page.examples.select(self.chosen, None, everything, **quiet)
        gr.on(
            [page.edit.click, page.instruction.submit],
            self.edited,
            self._asked(),
            turn,
            trigger_mode="once",
            concurrency_limit=SIDE_BY_SIDE,
            **quiet,
        )
        page.stop.click(self.stopped, None, None, queue=False, **quiet)
        page.undo.click(self.undone, page.history, turn, **quiet)
        page.redo.click(self.redone, page.history, turn, **quiet)
        page.thumbnails.select(self.moved, page.history, turn, **quiet)
        page.where.select(self.placed, {page.where, page.history}, {page.stage}, **quiet)
        page.mask_tab.select(self.painting, {page.history, page.mask}, {page.mask}, **quiet)
        page.mask.input(self.painted, {page.mask}, {page.where}, **quiet)
        page.region_tab.select(self.framed, page.history, page.region, **quiet)

    def _turn(self) -> set:
        """What another turn may change. Not the mask: its editor draws itself anew at every
        update."""
        page = self.page
        return {
            page.history,
            page.stage,
            page.photo,
            page.refusal,
            page.compare_tab,
            page.compare,
            page.region_tab,
            page.beginnings,
            page.instruction,
            page.edit,
            page.stop,
            page.status,
            page.turns,
            page.thumbnails,
            page.undo,
            page.redo,
            page.download,
            page.account,
            page.seed,
            page.abilities,
        }

    def _asked(self) -> set:
        """What an edit is made of."""
        page = self.page
        return {
            page.history,
            page.instruction,
            page.where,
            page.mask,
            page.precision,
            page.steps,
            page.more_steps,
            page.random,
            page.seed,
            page.format,
            page.guidance,
            page.negative,
            page.true_cfg,
            page.step_cache,
            page.deadline,
            page.references,
        }

    # -- the tab -----------------------------------------------------------------------------------

    async def opened(self, values: Values, request: gr.Request) -> Updates:
        """The page as it is found: with the turns that the tab had before, if any."""
        page = self.page
        lanes = sorted(await self.edits.lanes(), key=lambda lane: LANES.index(precision_of(lane)))
        history = self.kept.opened(request.session_hash, values[page.token])
        begin = {page.status: html.status(READY), page.account: html.account(None)}
        shown = self.shown(history) if history else begin
        running = await self.edits.ready()
        trouble = {} if running else {page.status: self._trouble(RequestError(""), running)}
        return {
            **shown,
            **trouble,
            page.abilities: self._abilities(self._known(history)),
            page.precision: gr.update(choices=[*WISHES, *((lane, lane) for lane in lanes)]),
        }

    def _known(self, history: History | None) -> str:
        """What the checkpoint can do, by an edit of it where there is one."""
        info = history and history.current.info
        return abilities.behind(info) if info else abilities.expected_at(self.edits.address)

    def left(self, request: gr.Request) -> None:
        """The tab was closed: nobody waits for its edit."""
        self.edits.drop(request.session_hash)
        self.kept.left(request.session_hash)

    def stopped(self, request: gr.Request) -> None:
        self.edits.stop(request.session_hash)

    # -- pictures and turns: each drops the edit that runs, whose answers would take its place -----

    def dropped(self, values: Values, request: gr.Request) -> Updates:
        self.edits.drop(request.session_hash)
        image = Path(values[self.page.photo]).read_bytes()
        try:
            picture.size_of(image)
        except RequestError as failure:
            return self._refused(image, values.get(self.page.history), failure)
        return self._begun(image, request)

    def chosen(self, event: gr.SelectData, request: gr.Request) -> Updates:
        self.edits.drop(request.session_hash)
        example = self.examples[event.index]
        return {
            **self._begun(example.picture.read_bytes(), request),
            self.page.instruction: example.instruction,
        }

    def cleared(self, request: gr.Request) -> Updates:
        self.edits.drop(request.session_hash)
        self.kept.forget(request.session_hash)
        return self._empty()

    def undone(self, history: History | None, request: gr.Request) -> Updates:
        return self._moved(history and history.undone(), request)

    def redone(self, history: History | None, request: gr.Request) -> Updates:
        return self._moved(history and history.redone(), request)

    def moved(self, history: History | None, event: gr.SelectData, request: gr.Request) -> Updates:
        return self._moved(history and history.moved(event.index), request)

    def _moved(self, history: History | None, request: gr.Request) -> Updates:
        self.edits.drop(request.session_hash)
        if history is None:
            empty = {
                component: update
                for component, update in self._empty().items()
                if component in self._turn()
            }
            return {**empty, self.page.status: html.status(FORGOTTEN, "trouble")}
        self.kept.keep(request.session_hash, history)
        return self.shown(history)

    def _begun(self, image: bytes, request: gr.Request) -> Updates:
        history = History.of(image)
        self.kept.keep(request.session_hash, history)
        return {
            **self.shown(history),
            self.page.where: AUTO,
            self.page.mask: None,
            self.page.mask_tab: gr.update(visible=True),
        }

    def _refused(self, image: bytes, history: History | None, failure: RequestError) -> Updates:
        """A dropped picture that cannot be edited: what was edited stays; without that, the dropped
        one is in sight beside what is wrong with it, if it is a picture at all."""
        page = self.page
        sentence = text.trouble(failure, True, self.edits.address)
        gr.Warning(escape(sentence))
        if history is not None:
            shown = {**self.shown(history), page.stage: gr.update(selected=PICTURE)}
        else:
            shown = self._empty()
            if picture.is_picture(image):
                shown[page.photo] = gr.skip()
        return {
            **shown,
            page.refusal: gr.update(value=html.refusal(sentence), visible=True),
            page.status: html.status(sentence, "trouble"),
        }

    def _empty(self) -> Updates:
        """The page without a picture."""
        page = self.page
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
            page.beginnings: gr.update(visible=bool(self.examples)),
            page.account: html.account(None),
            page.status: html.status(READY),
            **self._busy(False),
        }

    def shown(self, history: History) -> Updates:
        """The current turn: its picture, what it was before, its region, and the turns around
        it."""
        page = self.page
        turn = history.current
        before = history.before
        file = _file(turn.image, f"retouch-{history.at}")
        edited = before is not None
        titles = ["The picture", *(each.instruction for each in history.turns[1:])]
        thumbnails = [
            (picture.shrunk(each.image, THUMBNAIL), f"Turn {number}: {title}" if number else title)
            for number, (each, title) in enumerate(zip(history.turns, titles))
        ]
        return {
            page.history: history,
            page.photo: file,
            page.refusal: gr.update(visible=False),
            page.stage: gr.update(selected=COMPARE if edited else PICTURE),
            page.compare_tab: gr.update(visible=edited),
            page.region_tab: gr.update(visible=edited),
            page.beginnings: gr.update(visible=False),
            page.compare: (_file(before.image, "before"), file) if edited else None,
            page.turns: gr.update(visible=len(history.turns) > 1),
            page.thumbnails: gr.update(value=thumbnails, selected_index=history.at),
            page.undo: gr.update(interactive=edited),
            page.redo: gr.update(interactive=history.redoable is not None),
            page.download: gr.update(value=file),
            page.account: html.account(turn),
            **self._busy(False),
            page.status: html.status(
                f"{f'This is turn {history.at}.' if edited else 'This is where you began.'} {ASK}"
            ),
        }

    def framed(self, history: History | None) -> Any:
        """The region of the current turn, on what it was an edit of."""
        if history is None or history.before is None:
            return None
        turn = history.current
        return picture.outlined(history.before.image, turn.info.region, turn.info.operations)

    # -- the mask ----------------------------------------------------------------------------------

    def placed(self, values: Values) -> Updates:
        """Who wants to paint is shown where."""
        wanted = values[self.page.where] == PAINT and values[self.page.history] is not None
        return {self.page.stage: gr.update(selected=MASK) if wanted else gr.skip()}

    def painting(self, values: Values) -> Updates:
        """The current picture to paint on; what is painted stays."""
        history = values[self.page.history]
        if history is None:
            return {self.page.mask: None}
        ground = picture.shrunk(history.current.image, PAINTED)
        layers = [layer for layer in self._layers(values) if layer.shape[1::-1] == ground.size]
        return {self.page.mask: {"background": ground, "layers": layers, "composite": None}}

    def painted(self, values: Values) -> Updates:
        """Who has painted wants it to count. Gradio tells of a new ground to paint on as of
        strokes."""
        return {self.page.where: PAINT if is_painted(self._layers(values)) else gr.skip()}

    def _region(self, values: Values, image: bytes) -> bytes:
        where = values[self.page.where]
        if where != PAINT:
            return {AUTO: b"auto", FULL: b"full"}[where]
        layers = self._layers(values)
        if not is_painted(layers):
            raise RequestError(
                "Nothing is painted yet: paint over what may change, or choose “Where the sentence "
                "says”",
                field="REGION",
            )
        return mask_file(layers, picture.size_of(image))

    def _layers(self, values: Values) -> list[Any]:
        return (values[self.page.mask] or {}).get("layers", [])

    # -- an edit -----------------------------------------------------------------------------------

    async def edited(self, values: Values, request: gr.Request) -> AsyncIterator[Updates]:
        """An edit of the current turn, preview by preview."""
        page, history = self.page, values[self.page.history]
        try:
            knobs = self._knobs(values, history)
        except RequestError as failure:
            yield {page.status: self._trouble(failure, running=True)}
            return
        yield {
            **self._busy(True),
            page.stage: gr.update(selected=PICTURE),
            page.refusal: gr.update(visible=False),
            page.photo: _file(history.current.image, "before"),
            page.status: html.status("Reading the picture and the sentence …", "busy"),
        }
        try:
            async for update in self._answers(
                history, values[page.instruction] or "", knobs, request.session_hash
            ):
                yield update
        except Dropped:
            yield {
                page.status: gr.skip()
            }  # Gradio tells the last update twice, and that would be a preview
        except Cancelled:
            yield {
                **self.shown(history),
                page.status: html.status("Stopped. The picture is as it was."),
            }
        except RequestError as failure:
            running = await self.edits.ready()
            yield {**self.shown(history), page.status: self._trouble(failure, running)}

    async def _answers(
        self, history: History, instruction: str, knobs: dict[str, Any], tab: str
    ) -> AsyncIterator[Updates]:
        """Previews, and the result when the server has nothing more to say: Gradio tells the last
        update again when it hears the end, and a turn that was chosen meanwhile would be
        overwritten."""
        page, image, size = self.page, history.current.image, picture.size_of(history.current.image)
        final: EditAnswer | None = None
        async for answer in self.edits.answers(tab, image, instruction, **knobs):
            if answer.final:
                final = answer
            else:
                done, total = answer.step
                yield {
                    page.photo: picture.shaped(answer.image, size),
                    page.status: html.status(f"Step {done} of {total} …", "busy"),
                }
        if final is not None:
            edited = history.added(final.image, instruction, final.info)
            self.kept.keep(tab, edited)
            yield {
                **self.shown(edited),
                page.seed: final.info.seed,
                page.abilities: self._abilities(abilities.behind(final.info)),
                page.status: html.status(text.done(final.info)),
            }

    def _abilities(self, sentences: str) -> Any:
        """What the checkpoint can do, where that is known."""
        return gr.update(value=html.abilities(sentences), visible=bool(sentences))

    def _busy(self, busy: bool) -> Updates:
        return {
            self.page.edit: gr.update(visible=not busy),
            self.page.stop: gr.update(visible=busy),
        }

    def _knobs(self, values: Values, history: History | None) -> dict[str, Any]:
        """EditRequest's fields but for picture and sentence; RequestError when the page itself
        lacks something."""
        if history is None:
            raise RequestError(f"There is no picture to edit yet. {READY}", field="IMAGE")
        page = self.page
        seed = (
            {} if values[page.random] or values[page.seed] is None else {"seed": values[page.seed]}
        )
        return {
            **seed,
            "previews": MAX_PREVIEWS,
            "region": self._region(values, history.current.image),
            "precision": values[page.precision],
            "steps": values[page.more_steps] or values[page.steps],
            "format": values[page.format],
            "guidance": values[page.guidance],
            "negative": values[page.negative] or "",
            "true_cfg": values[page.true_cfg],
            "step_cache": values[page.step_cache],
            "deadline_ms": values[page.deadline] or 0,
            "references": tuple(Path(path).read_bytes() for path in values[page.references] or ()),
        }

    def _trouble(self, failure: RequestError, running: bool) -> str:
        return html.status(text.trouble(failure, running, self.edits.address), "trouble")


def _file(image: bytes, name: str) -> str:
    """Where Gradio keeps the very bytes; its own cache, from which they are removed when they are
    old."""
    return save_bytes_to_cache(image, f"{name}.{picture.suffix_of(image)}", get_upload_folder())
