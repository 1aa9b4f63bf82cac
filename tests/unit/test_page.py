"""What the page says, draws and remembers, without a browser or a server."""

from __future__ import annotations

import asyncio
import dataclasses
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pictures import file_of, scene
from retouch.api.errors import Cancelled, RequestError
from retouch.api.response import EditAnswer, EditInfo, Hint, Operation, Region
from retouch.imaging import images
from retouch_clients.shipped_checkpoint.examples import examples
from retouch_clients.web import html, page_images, text
from retouch_clients.web.mask import is_painted, mask_file
from retouch_clients.web.running_edits import Dropped, RunningEdits
from retouch_clients.web.serving import FOLDER_VARIABLE
from retouch_clients.web.turn_store import SECONDS, TurnStore
from retouch_clients.web.turns import MOST, History, Turn

INFO = EditInfo(
    "final",
    7,
    "bf16",
    "best: the widest",
    steps=3,
    operations=[Operation("recolour", "red circle", "blue", (0.1, 0.1, 0.4, 0.4))],
    region=Region((0.0, 0.0, 0.5, 0.5), 0.25),
    milliseconds={"vae_decoder": 6.0, "preprocess": 1.0, "other": 2.0, "total": 8.0},
)


def history(*instructions):
    made = History.of(b"source")
    for instruction in instructions:
        made = made.added(instruction.encode(), instruction, INFO)
    return made


def test_turns_go_back_and_forth():
    made = history("a", "b")
    assert made.current.image == b"b" and made.before.image == b"a" and made.redoable is None
    back = made.undone()
    assert back.current.image == b"a" and back.redone() == made
    assert back.undone().before is None and back.undone().undone() == back.undone()


def test_an_edit_of_an_earlier_turn_loses_nothing():
    branch = history("a", "b").undone().undone().added(b"c", "c", INFO)
    assert [turn.instruction for turn in branch.turns] == ["", "a", "b", "c"]
    assert branch.before.image == b"source" and branch.undone().redone() == branch, (
        "the newest edit is the one to redo"
    )
    assert branch.moved(2).before.image == b"a" and branch.moved(99) == branch


def test_the_oldest_edits_are_forgotten():
    made = history(*map(str, range(MOST + 5)))
    assert (
        len(made.turns) == MOST
        and made.turns[0].image == b"source"
        and made.current.image == str(MOST + 4).encode()
    )
    assert made.before.image == str(MOST + 3).encode()
    assert made.moved(1).undone().at == 0, (
        "what was an edit of a forgotten one is one of the source"
    )
    large = History.of(bytes(2**20))
    for number in range(4):
        large = large.added(bytes(2**25), str(number), INFO)
    assert [turn.instruction for turn in large.turns] == ["", "3"]


def test_what_is_painted_is_white_at_the_size_of_the_picture():
    layer = np.zeros((10, 20, 4), np.uint8)
    assert not is_painted([]) and not is_painted([layer])
    layer[2:4, 5:10, 3] = 255
    layer[8, 8, 3] = 100  # a brush's rim
    other = np.zeros_like(layer)
    other[9, 19, 3] = 255
    assert is_painted([layer])
    mask = images.decode_mask(mask_file([layer, other], (20, 40)), 20, 40)
    expected = np.zeros((20, 40), bool)
    expected[4:8, 10:20] = expected[18:, 38:] = True
    np.testing.assert_array_equal(mask, expected)


def test_the_region_is_seen_over_the_source():
    source = scene()
    drawn = np.asarray(page_images.outlined(file_of(source), INFO.region, INFO.operations))
    assert drawn.shape == (768, 768, 3)
    wide = images.fit(source, (768, 768))
    np.testing.assert_array_equal(
        drawn[340:370, 340:370], wide[340:370, 340:370]
    )  # may change: as it is
    assert (drawn[500:, 500:] > wide[500:, 500:]).all(), "the rest is pale"
    assert (drawn == page_images.ALLOWED).all(-1).any() and (drawn == page_images.TARGET).all(
        -1
    ).any()
    whole = page_images.outlined(file_of(source), Region((0, 0, 0, 0), 0.0), [])
    assert not (np.asarray(whole) == page_images.ALLOWED).all(-1).any()


@pytest.mark.parametrize(
    "name, options, suffix",
    [
        ("MPO", {"save_all": True, "append_images": [Image.new("RGB", (16, 16))]}, "jpg"),
        ("JPEG", {}, "jpg"),
        ("JPEG", {"progressive": True}, "jpg"),
        ("PNG", {}, "png"),
        ("WEBP", {}, "webp"),
    ],
)
def test_a_picture_file_has_the_usual_suffix(name, options, suffix):
    photo = file_of(scene(), name, **options)
    assert Image.open(io.BytesIO(photo)).format == name, "the case is what it says"
    assert page_images.suffix_of(photo) == suffix


def test_previews_have_the_shape_of_the_source():
    preview = file_of(scene(32, 32))
    assert page_images.shaped(preview, (60, 200)).size == (200, 60)
    assert page_images.shaped(preview, (3000, 1500)).size == (384, 768)
    assert page_images.shrunk(file_of(scene(300, 100)), 150).size == (150, 50)


@pytest.mark.parametrize(
    "operation, sentence",
    [
        (Operation("recolour", "red circle", "blue"), "Make the red circle blue."),
        (
            Operation("replace", "red circle", "orange star"),
            "Replace the red circle by an orange star.",
        ),
        (Operation("add", "", "large blue star top left"), "Add a large blue star top left."),
        (Operation("background", "", "white"), "Make the background white."),
        (Operation("sharpen", "eyes"), "sharpen eyes."),
    ],
)
def test_what_was_understood_is_told_in_sentences(operation, sentence):
    assert text.understood([operation]) == [sentence]


def test_the_account_tells_all_and_escapes_it():
    turn = Turn(b"", "x", dataclasses.replace(INFO, lane_reason="<script>"))
    reported = html.details(turn)
    for part in (
        "Make the red circle blue",
        "25% of the picture",
        ">7<",
        "8.0&nbsp;ms",
        "&lt;script&gt;",
    ):
        assert part in reported
    assert [stage for stage, _ in text.times(INFO)] == [
        "read the picture",
        "decode",
        "other",
        "total",
    ]
    assert "will appear here" in html.details(None) == html.details(Turn(b""))


@pytest.mark.parametrize(
    "failure, running, parts",
    [
        (
            RequestError("unavailable", "UNAVAILABLE"),
            False,
            ("No server answers at 127.0.0.1:1", "make serve"),
        ),
        (
            RequestError("exceeds maximum queue size", "UNAVAILABLE"),
            True,
            ("maximum queue size", "again in a moment"),
        ),
        (
            RequestError("64 edits are running already", "UNAVAILABLE", retry_after=3.6),
            True,
            ("busy", "press Edit again in about 4 s"),
        ),
        (
            RequestError("DEADLINE_MS 5 has passed", "DEADLINE_EXCEEDED", field="DEADLINE_MS"),
            True,
            ("milliseconds 5 has passed.", "Advanced"),
        ),
        (RequestError("denoiser_fp8 is broken", "INTERNAL"), True, ("Denoiser_fp8 is broken.",)),
        (
            RequestError("STEPS is 80; it must be from 0 to 50", field="STEPS"),
            True,
            ("The number of steps is 80; it must be from 0",),
        ),
    ],
)
def test_what_went_wrong_is_told_with_the_next_step(failure, running, parts):
    reported = text.trouble(failure, running, "127.0.0.1:1")
    assert all(part in reported for part in parts) and reported.endswith(".")


def test_examples_are_pictures_with_sentences():
    results = examples()
    assert len(results) >= 4 and all(item.instruction for item in results)
    assert all(page_images.size_of(item.image.read_bytes()) for item in results)


NOT_UNDERSTOOD = RequestError(
    "INSTRUCTION is not understood; the edits are blur and warmer",
    "INSTRUCTION_NOT_UNDERSTOOD",
    field="INSTRUCTION",
    examples=["make it warmer", "blur <it>"],
)


class Slow:
    """A client whose edits have a preview, and a result when they are let."""

    def __init__(self):
        self.let = asyncio.Event()
        self.left = 0

    async def edit(self, image, instruction, **options):
        self.options = options
        if instruction == "fail":
            raise RequestError("no")
        if instruction == "sing":
            raise NOT_UNDERSTOOD
        try:
            yield EditAnswer(image, (1, 2), dataclasses.replace(INFO, kind="preview"))
            await self.let.wait()
            yield EditAnswer(image, (2, 2), INFO)
        except asyncio.CancelledError:
            self.left += 1
            raise


def beside(check):
    """Runs `check(edits, client)` in a loop."""

    async def run():
        edits = RunningEdits("")
        edits._client = Slow()
        await check(edits, edits._client)
        await asyncio.sleep(0)
        assert edits._running == {}

    asyncio.run(run())


def test_an_edit_is_stopped_from_elsewhere():
    async def check(edits, client):
        answers = edits.answers("tab", b"", "a")
        await anext(answers)
        edits.stop("another")
        edits.stop("tab")
        with pytest.raises(Cancelled):
            await anext(answers)
        assert client.left == 1

    beside(check)


def test_an_edit_is_stopped_from_another_thread():
    """As the page does, whose handlers have threads of their own."""

    async def check(edits, client):
        answers = edits.answers("tab", b"", "a")
        await anext(answers)
        await asyncio.to_thread(edits.stop, "tab")
        with pytest.raises(Cancelled):
            await anext(answers)

    beside(check)


@pytest.mark.parametrize("late", [False, True])
def test_an_edit_that_is_dropped_has_no_more_answers(late):
    async def check(edits, client):
        answers = edits.answers("tab", b"", "a")
        await anext(answers)
        if late:  # its result is there, and nobody has taken it yet
            client.let.set()
            await asyncio.sleep(0.01)
        edits.drop("tab")
        with pytest.raises(Dropped):
            await anext(answers)
        assert client.left == (not late)

    beside(check)


def test_an_edit_that_is_left_ends():
    async def check(edits, client):
        answers = edits.answers("tab", b"", "a")
        await anext(answers)
        await answers.aclose()
        await asyncio.sleep(0)
        assert client.left == 1

    beside(check)


def test_tabs_do_not_meet_but_a_tab_has_one_edit():
    async def check(edits, client):
        first, second, other = (edits.answers(tab, b"", "a") for tab in ("tab", "tab", "other"))
        await anext(first)
        await anext(other)
        await anext(second)
        with pytest.raises(Dropped):
            await anext(first)
        client.let.set()
        assert [(await anext(item)).final for item in (second, other)] == [True, True]
        for item in (second, other):
            with pytest.raises(StopAsyncIteration):
                await anext(item)

    beside(check)


def test_what_the_server_refuses_comes_through():
    async def check(edits, client):
        with pytest.raises(RequestError, match="no"):
            await anext(edits.answers("tab", b"", "fail"))

    beside(check)


# -- what the page does while there is an edit, and without its turns ------------------------------

TAB = SimpleNamespace(session_hash="tab")
PHOTO = file_of(scene())


@pytest.fixture
def app(monkeypatch, tmp_path):
    from retouch_clients.web.app import App  # takes seconds, in every worker that collects tests

    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "kept"))
    return App("127.0.0.1:1")


@pytest.fixture
def unchanged():
    """The value that leaves a component as it is."""
    import gradio

    return gradio.skip()


@pytest.fixture
def file(tmp_path):
    (tmp_path / "other.png").write_bytes(file_of(scene(160, 96)))
    return str(tmp_path / "other.png")


TURNS = History.of(PHOTO).added(PHOTO, "a", INFO)
CHOICES = {  # what is done in an edit, and the picture that is there then
    "drop": (
        lambda app, file: app.images.uploaded({app.page.photo: file}, TAB),
        file_of(scene(160, 96)),
    ),
    "example": (
        lambda app, _: app.images.example_selected(SimpleNamespace(index=0), TAB),
        examples()[0].image.read_bytes(),
    ),
    "clear": (lambda app, _: app.images.cleared(TAB), None),
    "undo": (lambda app, _: app.turns.undone(TURNS, TAB), PHOTO),
    "redo": (lambda app, _: app.turns.redone(TURNS.undone(), TAB), PHOTO),
    "turn": (lambda app, _: app.turns.selected(TURNS, SimpleNamespace(index=0), TAB), PHOTO),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_what_is_chosen_in_an_edit_stays(app, unchanged, file, choice):
    choose, image = CHOICES[choice]
    page = app.page
    asked = {edit_input: edit_input.value for edit_input in app.page.edit_inputs()} | {
        page.history: TURNS,
        page.instruction: "x",
    }

    async def run():
        app.edits._client = Slow()
        shown = app.editing.edited(asked, TAB)
        assert (await anext(shown))[page.stop]["visible"] and "Step 1" in (await anext(shown))[
            page.status
        ]
        results = choose(app, file)
        assert (
            results[page.history] and results[page.history].current.image
        ) == image and not results[page.stop]["visible"]
        assert [item async for item in shown] == [
            {page.status: unchanged}
        ] and app.edits._client.left == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    "ask",
    [
        lambda app: app.turns.undone(None, TAB),
        lambda app: app.turns.redone(None, TAB),
        lambda app: app.turns.selected(None, SimpleNamespace(index=1), TAB),
    ],
    ids=["undo", "redo", "turn"],
)
def test_turns_that_are_forgotten_are_told(app, ask):
    """Gradio keeps a tab's state for a time only."""
    results = ask(app)
    assert (
        "have expired" in results[app.page.status]
        and results[app.page.photo] is results[app.page.history] is None
    )
    assert app.turns.region_image(None) is None


# -- a sentence that is not understood -------------------------------------------------------------


def edited(app, monkeypatch, **chosen):
    """The last updates of an edit by the sentence `sing`, and the options that it had."""

    async def ready():
        return True

    async def run():
        app.edits._client = Slow()
        monkeypatch.setattr(app.edits, "ready", ready)
        page = app.page
        values = {edit_input: edit_input.value for edit_input in page.edit_inputs()}
        values |= {page.history: TURNS, page.instruction: "sing"}
        values |= {getattr(page, name): value for name, value in chosen.items()}
        updates = [update async for update in app.editing.edited(values, TAB)]
        return updates, app.edits._client.options

    return asyncio.run(run())


def test_a_sentence_that_is_not_understood_gets_others_to_choose_from(app, monkeypatch):
    page = app.page
    (busy, last), options = edited(app, monkeypatch)
    assert options["on_unknown"] == "refuse"
    assert not busy[page.suggestions.row]["visible"]
    assert "The sentence is not understood; the edits are" in last[page.status]
    assert "hint" in last[page.status] and "alert" in last[page.status]
    assert last[page.history] == TURNS and last[page.suggestions.row]["visible"]
    first, second, third = (last[button] for button in page.suggestions.buttons)
    assert (first["value"], second["value"]) == ("make it warmer", "blur <it>")
    assert first["visible"] and second["visible"] and not third["visible"]
    assert app.editing.suggested(first["value"]) == "make it warmer"
    assert not app.view.current_turn(TURNS)[page.suggestions.row]["visible"]
    assert set(page.suggestions.components()) <= set(page.turn_components())


def test_a_choice_of_a_suggestion_fills_the_sentence_in(app):
    config = app.blocks.config["dependencies"]
    for button in app.page.suggestions.buttons:
        (event,) = (event for event in config if (button._id, "click") in event["targets"])
        assert event["inputs"] == [button._id]
        assert event["outputs"] == [app.page.instruction._id]


def test_a_sentence_may_be_tried_all_the_same(app, monkeypatch):
    assert edited(app, monkeypatch, unknown=True)[1]["on_unknown"] == "warn"


def test_what_was_not_understood_is_among_the_details():
    hint = Hint("INSTRUCTION is <odd>", ["make it warmer"])
    info = dataclasses.replace(INFO, operations=[], understood=False, hint=hint)
    shown = html.details(Turn(b"", "sing", info, 0))
    assert html.NOTHING in shown and "The sentence is &lt;odd&gt;." in shown
    silent = dataclasses.replace(INFO, understood=True, operations=[Operation("nothing")])
    assert "Leave the picture as it is." in html.details(Turn(b"", "wait", silent, 0))
    assert "asks for no change" in text.done(silent)


# -- a picture that is refused ---------------------------------------------------------------------

REFUSED = {  # what is dropped, what is wrong with it, and whether a browser can show it
    "long": (file_of(scene(400, 40)), "4 times", True),
    "cut": (file_of(scene())[:500], "damaged or truncated", True),
    "text": (b"no <b>picture</b>", "not a picture file", False),
    "nothing": (b"", "", False),
}


@pytest.fixture
def toasts(monkeypatch):
    heard = []
    monkeypatch.setattr("gradio.Warning", lambda message, **_: heard.append(message))
    return heard


def refused(app, tmp_path, image, history):
    (tmp_path / "refused.png").write_bytes(image)
    return app.images.uploaded(
        {app.page.photo: str(tmp_path / "refused.png"), app.page.history: history}, TAB
    )


@pytest.mark.parametrize("kind", ["long", "cut", "text", "nothing"])
def test_a_refused_picture_is_told_where_it_was_dropped(app, unchanged, tmp_path, toasts, kind):
    image, sentence, seen = REFUSED[kind]
    results = refused(app, tmp_path, image, None)
    page = app.page
    assert sentence in toasts[0] and len(toasts) == 1 and "<" not in toasts[0]
    assert results[page.refusal]["visible"] and sentence in results[page.refusal]["value"]
    assert sentence in results[page.status] and "alert" in results[page.status]
    assert results[page.history] is None
    assert results[page.photo] == unchanged if seen else results[page.photo] is None, (
        "a picture stays in sight"
    )


@pytest.mark.parametrize("kind", ["long", "cut", "text", "nothing"])
def test_what_was_edited_outlasts_a_refused_picture(app, tmp_path, toasts, kind):
    results = refused(app, tmp_path, REFUSED[kind][0], TURNS)
    page = app.page
    assert results[page.history] == TURNS and results[page.refusal]["visible"] and len(toasts) == 1
    with open(results[page.photo], "rb") as shown:
        assert shown.read() == PHOTO
    assert (
        not app.view.current_turn(TURNS)[page.refusal]["visible"]
        and not app.images.cleared(TAB)[page.refusal]["visible"]
    )


# -- a page that is opened again -------------------------------------------------------------------

TOKEN = "0123456789abcdef" * 2
OTHER_TOKEN = "f" * 32


class Nobody:
    """A client without a server."""

    async def lanes(self):
        return ()

    async def ready(self):
        return False


def tab_of(name):
    return SimpleNamespace(session_hash=name)


def opened(app, tab, token=TOKEN):
    app.edits._client = Nobody()
    return asyncio.run(app.tabs.opened({app.page.token: token}, tab_of(tab)))


CHANGES = {  # what is done before a refresh, and the turns that are there again
    "drop": (lambda app, file: app.images.uploaded({app.page.photo: file}, tab_of("a")), [""]),
    "example": (
        lambda app, _: app.images.example_selected(SimpleNamespace(index=1), tab_of("a")),
        [""],
    ),
    "undo": (lambda app, _: app.turns.undone(TURNS, tab_of("a")), ["", "a"]),
    "turn": (
        lambda app, _: app.turns.selected(TURNS, SimpleNamespace(index=1), tab_of("a")),
        ["", "a"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_a_refresh_keeps_picture_and_turns(app, file, change, closed):
    do, turns = CHANGES[change]
    assert app.page.history not in opened(app, "a")
    history = do(app, file)[app.page.history]
    if closed:
        app.tabs.closed(tab_of("a"))
    again = opened(app, "b")
    assert (
        again[app.page.history] == history and [turn.instruction for turn in history.turns] == turns
    )
    with open(again[app.page.photo], "rb") as shown:
        assert shown.read() == history.current.image
    assert again[app.page.undo]["interactive"] == (history.before is not None)


def test_an_edit_is_kept_and_start_over_forgets_it(app):
    async def edit():
        app.edits._client = Slow()
        app.edits._client.let.set()
        return [update async for update in app.editing.answers(History.of(PHOTO), "a", {}, "a")][-1]

    opened(app, "a")
    history = asyncio.run(edit())[app.page.history]
    assert opened(app, "b")[app.page.history] == history and len(history.turns) == 2
    assert app.images.cleared(tab_of("b"))[app.page.history] is None
    assert app.page.history not in opened(app, "c")


@pytest.mark.parametrize(
    "token", [OTHER_TOKEN, "", None, "0", TOKEN.upper(), TOKEN + "0", 7, [TOKEN]]
)
def test_turns_are_found_by_their_token_alone(app, token):
    opened(app, "a")
    app.turns.undone(TURNS, tab_of("a"))
    assert app.page.history not in opened(app, "b", token)
    app.turns.undone(History.of(PHOTO), tab_of("b"))
    assert opened(app, "c")[app.page.history] == TURNS.undone()


def test_a_tab_without_a_token_keeps_nothing(app):
    app.turns.undone(TURNS, tab_of("a"))
    app.images.cleared(tab_of("a"))
    app.tabs.closed(tab_of("a"))
    assert app.page.history not in opened(app, "a")


def test_kept_turns_are_bounded():
    now = [0.0]
    kept = TurnStore(tabs=3, most_bytes=100, clock=lambda: now[0])

    def keep(number, size=10):
        kept.open_tab(f"tab {number}", f"{number:032x}")
        kept.keep(f"tab {number}", History.of(bytes(size)))

    def there():
        return [number for number in range(9) if f"{number:032x}" in kept._histories]

    for number in range(4):
        keep(number)
    assert there() == [1, 2, 3], "at most so many tabs"
    kept.open_tab("again", f"{1:032x}")
    keep(4)
    assert there() == [1, 3, 4], "the one that was idle longest goes"
    keep(5, size=85)
    assert there() == [4, 5], "and by their bytes"
    keep(6, size=1000)
    assert there() == [6], "one is kept, however large"
    now[0] = SECONDS + 1
    assert kept.open_tab("late", f"{6:032x}") is None and there() == []


def test_the_result_is_shown_when_the_edit_has_ended(app):
    """An update that Gradio repeats after the end must not come when another turn may have been
    chosen."""
    over = asyncio.Event()

    class Lingering:
        async def edit(self, image, instruction, **options):
            yield EditAnswer(PHOTO, (1, 2), dataclasses.replace(INFO, kind="preview"))
            yield EditAnswer(PHOTO, (2, 2), INFO)
            await over.wait()

    async def run():
        app.edits._client = Lingering()
        shown = app.editing.answers(History.of(PHOTO), "a", {}, "tab")
        assert "Step 1" in (await anext(shown))[app.page.status]
        result = asyncio.ensure_future(anext(shown))
        await asyncio.sleep(0.1)
        assert not result.done()
        over.set()
        assert "Done in" in (await result)[app.page.status]
        with pytest.raises(StopAsyncIteration):
            await anext(shown)

    asyncio.run(run())
