"""The page as a person meets it: a real browser, a real server; screenshots go to out/web."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from urllib.parse import urlsplit

import numpy as np
import pytest

from counts import metrics, settled
from pictures import file_of, scene
from processes import until
from retouch.client import Retouch
from retouch.imaging import images
from retouch.launcher.server import HOST, ROOT, free_port
from retouch_clients.feedback.database import Database, url_of
from retouch_clients.feedback.settings import Settings
from retouch_clients.feedback.store import Store
from retouch_clients.shipped_checkpoint.examples import examples
from retouch_clients.web.serving import Options, served

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed (make test installs it)"
)
expect = playwright.expect
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium on PATH (Debian's package chromium)"
)

SHOTS = ROOT / "out" / "web"
SENTENCE = "make the red circle blue"
EVENTUALLY = 40_000  # milliseconds; two cores that others use too
LONG = "50"
DOORS = 4  # edits that the server takes on at once
NOWHERE = f"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE {HOST}"
WIDE = {"width": 1280, "height": 900}
WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def feedback_store(tmp_path_factory):
    return str(tmp_path_factory.mktemp("feedback") / "feedback.db")


@pytest.fixture(scope="module")
def site(server, feedback_store):
    options = Options(port=0, feedback=Settings(feedback_store))
    with served(f"{HOST}:{server.grpc}", options) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", NOWHERE])
        yield started
        started.close()


@pytest.fixture(scope="module")
def person(browser):
    """One for all tabs, so that the page's own files are loaded once. Routes would keep the browser
    from its cache."""
    context = browser.new_context(viewport=WIDE)
    context.set_default_timeout(EVENTUALLY)
    yield context
    context.close()


def elsewhere(address):
    return urlsplit(address).scheme not in ("blob", "data") and urlsplit(address).hostname != HOST


@pytest.fixture
def tabs(person, site):
    """Opens tabs of one person; none of them may ask anything of another host."""
    opened = []
    outside = []

    def note(request):
        if elsewhere(request.url):
            outside.append(request.url)

    def open_tab(url=site):
        page = person.new_page()
        opened.append(page)
        page.on("request", note)
        page.goto(url)
        expect(status_line(page)).to_be_visible(timeout=EVENTUALLY)
        return page

    yield open_tab
    for page in opened:
        page.close()
    assert outside == []


@pytest.fixture
def tab(tabs):
    return tabs()


def status_line(page):
    """The line that says what happens."""
    return page.locator("#status .status")


def drop(page, file, name="photo.png"):
    page.set_input_files(
        "#photo input[type=file]", {"name": name, "mimeType": "image/png", "buffer": file}
    )


def ready(page, file):
    drop(page, file)
    expect(status_line(page)).to_contain_text("Say what should change", timeout=EVENTUALLY)


def choose(page, group, name):
    page.locator(group).get_by_label(name, exact=True).check()


def fixed(page, seed=7):
    """The edit's bytes depend on the lane, and under load `auto` may take another."""
    choose(page, "#precision", "bf16")
    page.get_by_label("A new seed each time").uncheck()
    page.locator("#seed input").fill(str(seed))


def slow(page):
    page.locator("#advanced > button").click()
    page.get_by_label("number input for Exact number of steps").fill(LONG)
    choose(page, "#precision", "bf16")
    choose(page, "#where", "Anywhere")


def turns(page):
    return page.locator("#thumbnails .thumbnail-item")


def ask(page, sentence=SENTENCE):
    page.locator("#instruction input").fill(sentence)
    page.locator("#instruction input").press("Enter")


def sends(sentence):
    """Whether a request asks for this edit."""
    return lambda request: "/queue/join" in request.url and sentence in (request.post_data or "")


def edit(page, sentence=SENTENCE):
    """Asks by Enter and waits for the result."""
    before = turns(page).count() or 1
    for _ in range(
        5
        # Gradio heeds no Enter before it has heard the end of the edit before, a moment after its
        # result
    ):
        with (
            contextlib.suppress(playwright.TimeoutError),
            page.expect_request(sends(sentence), timeout=3000),
        ):
            ask(page, sentence)
            break
    expect(turns(page)).to_have_count(before + 1, timeout=EVENTUALLY)
    expect(status_line(page)).to_contain_text("Done in", timeout=EVENTUALLY)
    expect(page.locator("#edit")).to_be_visible(timeout=EVENTUALLY)


def undo(page):
    """Goes back to the first turn. Gradio repeats a result a moment after it, and shows it again
    where Undo came between."""
    for _ in range(5):
        page.locator("#undo").click()
        with contextlib.suppress(AssertionError):
            expect(page.locator("#undo")).to_be_disabled(timeout=3000)
            return
    expect(page.locator("#undo")).to_be_disabled(timeout=EVENTUALLY)


def downloaded(page):
    with page.expect_download(timeout=EVENTUALLY) as download:
        page.locator("#download").click()
    return download.value.path().read_bytes()


def shown(page, selector):
    """uint8 [H, W, 3] of the picture that a part of the page shows."""
    image = page.locator(f"{selector} img").first
    expect(image).to_be_visible(timeout=EVENTUALLY)
    return images.decode(page.request.get(image.get_attribute("src")).body())


def look(page, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(
        path=SHOTS / f"{name}.png", full_page=True, animations="disabled"
    )  # nothing is half faded in


def expected(client, image, sentence=SENTENCE, seed=7, **options):
    *_, answer = client.edit(image, sentence, seed=seed, precision="bf16", **options)
    return answer.image


def test_a_picture_is_edited_as_the_client_does(tab, client, photo):
    look(tab, "empty")
    ready(tab, photo)
    fixed(tab)
    edit(tab)
    result = downloaded(tab)
    assert result == expected(client, photo) != photo
    np.testing.assert_array_equal(shown(tab, "#compare"), images.decode(photo))
    account = tab.locator("#details")
    for part in (
        "Make the red circle blue.",
        "of the picture may change",
        "Seed",
        "7",
        "denoise",
        "total",
    ):
        expect(account).to_contain_text(part)
    look(tab, "edited")


def slide(page, share):
    """Moves the slider between before and after."""
    frame = page.locator("#compare").bounding_box()
    handle = page.locator("#compare .inner").bounding_box()
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * share, handle["y"], steps=5)
    page.mouse.up()


def test_before_and_after_by_a_slider(tab, photo):
    ready(tab, photo)
    edit(tab)
    after = tab.locator("#compare img").last
    seen = after.evaluate("image => getComputedStyle(image).clipPath")
    handle = tab.locator("#compare .inner").bounding_box()
    slide(tab, 0.4)
    assert tab.locator("#compare .inner").bounding_box()["x"] < handle["x"] - 20
    assert after.evaluate("image => getComputedStyle(image).clipPath") != seen
    look(tab, "slider")


def test_previews_sharpen_while_it_is_edited(tab, photo):
    ready(tab, photo)
    slow(tab)
    tab.evaluate("""() => {
        window.seen = new Set()
        const images = () => document.querySelectorAll("#photo img")
        const look = () => images().forEach(image => window.seen.add(image.src))
        const all = {subtree: true, childList: true, attributes: true}
        new MutationObserver(look).observe(document.querySelector("#photo"), all)
    }""")
    edit(tab)
    assert len(tab.evaluate("[...window.seen]")) >= 4, "the source, some previews, the result"


def test_the_region_is_shown_over_the_source(tab, photo):
    ready(tab, photo)
    edit(tab)
    tab.get_by_role("tab", name="Region").click()
    drawn = shown(tab, "#region")
    assert drawn.shape == (768, 768, 3)
    assert (np.abs(drawn.astype(int) - (79, 70, 229)).max(-1) < 8).sum() > 500, "a frame"
    look(tab, "region")


def stroke(page):
    """Paints over the upper left of the picture in the editor, which takes a while to be ready."""
    paint = page.locator("#where").get_by_label("Where I paint")
    canvas = page.locator("#mask canvas").last
    for _ in range(10):
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        middle = box["x"] + box["width"] / 2
        top = box["y"] + box["height"] / 2
        page.mouse.move(middle - 100, top - 110)
        page.mouse.down()
        for x, y in ((-40, -110), (-40, -70), (-100, -70), (-100, -40), (-40, -40)):
            page.mouse.move(middle + x, top + y, steps=2)
        page.mouse.up()
        with contextlib.suppress(AssertionError):
            return expect(paint).to_be_checked(timeout=4000)
    pytest.fail("nothing can be painted")


def test_what_is_not_painted_stays(tab, photo, source):
    tab.set_viewport_size(
        {"width": 480, "height": 900}
    )  # Chromium draws the editor without a GPU: the less, the sooner
    ready(tab, photo)
    fixed(tab)
    choose(tab, "#where", "Where I paint")
    ask(tab, "make it black and white")
    expect(status_line(tab)).to_contain_text("Nothing is painted yet", timeout=EVENTUALLY)
    expect(tab.locator("#mask canvas").last).to_be_visible(timeout=EVENTUALLY)
    choose(tab, "#where", "Where the sentence says")
    stroke(tab)
    look(tab, "mask")
    for _ in range(2):  # what is painted is there after an undo too
        edit(tab, "make it black and white")
        changed = (images.decode(downloaded(tab)) != source).any(-1)
        assert changed[:64, :64].sum() > 100
        assert not changed[80:].any() and not changed[:, 80:].any()
        undo(tab)


def test_turns_are_undone_redone_and_continued_from(tab, client, photo):
    ready(tab, photo)
    fixed(tab)
    edit(tab)
    first = downloaded(tab)
    edit(tab, "remove the blue square")
    second = downloaded(tab)
    assert second == expected(client, first, "remove the blue square")
    look(tab, "turns")
    undo = tab.locator("#undo")
    redo = tab.locator("#redo")
    expect(redo).to_be_disabled()
    undo.click()
    expect(redo).to_be_enabled(timeout=EVENTUALLY)
    assert downloaded(tab) == first
    undo.click()
    expect(undo).to_be_disabled(timeout=EVENTUALLY)
    assert downloaded(tab) == photo
    redo.click()
    expect(undo).to_be_enabled(timeout=EVENTUALLY)
    assert downloaded(tab) == first
    turns(tab).nth(2).click()
    expect(redo).to_be_disabled(timeout=EVENTUALLY)
    assert downloaded(tab) == second
    turns(tab).nth(0).click()
    expect(undo).to_be_disabled(timeout=EVENTUALLY)
    edit(tab, "remove the blue square")
    assert downloaded(tab) == expected(client, photo, "remove the blue square")
    expect(turns(tab)).to_have_count(4)


def test_a_refresh_and_a_way_back_keep_picture_and_turns(tab, photo):
    ready(tab, photo)
    edit(tab)
    result = downloaded(tab)
    tab.reload()
    expect(status_line(tab)).to_contain_text("This is turn 1", timeout=EVENTUALLY)
    expect(turns(tab)).to_have_count(2)
    assert downloaded(tab) == result
    tab.locator("#undo").click()
    expect(status_line(tab)).to_contain_text("This is the original picture", timeout=EVENTUALLY)
    tab.goto("about:blank")
    tab.go_back()
    expect(status_line(tab)).to_contain_text("This is the original picture", timeout=EVENTUALLY)
    expect(turns(tab)).to_have_count(2)
    assert downloaded(tab) == photo
    other = tab.context.new_page()
    other.goto(tab.url)
    expect(status_line(other)).to_contain_text("Drop a picture", timeout=EVENTUALLY)
    tab.locator("#restart").click()
    expect(status_line(tab)).to_contain_text("Drop a picture", timeout=EVENTUALLY)
    tab.reload()
    expect(status_line(tab)).to_contain_text("Drop a picture", timeout=EVENTUALLY)
    expect(tab.locator("#photo img")).to_have_count(0)


def test_an_example_is_one_click(tab):
    """README's picture is out/web/page.png in 256 colours."""
    tab.locator("#examples .thumbnail-item").first.click()
    sentence = examples()[0].instruction
    expect(tab.locator("#instruction input")).to_have_value(sentence, timeout=EVENTUALLY)
    tab.locator("#edit").click()
    expect(status_line(tab)).to_contain_text("Done in", timeout=EVENTUALLY)
    edit(tab, "make it black and white")
    tab.locator("#undo").click()
    expect(status_line(tab)).to_contain_text("This is turn 1", timeout=EVENTUALLY)
    slide(tab, 0.43)
    look(tab, "page")


@pytest.mark.parametrize(
    "file, name, sentence",
    [
        (b"no picture", "photo.png", "not a picture file"),
        (file_of(scene(400, 40)), "photo.png", "4 times"),
        (file_of(scene())[:500], "photo.png", "damaged or truncated"),
    ],
    ids=["text", "long", "cut"],
)
def test_a_bad_file_is_told_in_a_sentence(tab, photo, file, name, sentence):
    drop(tab, file, name)
    expect(status_line(tab)).to_contain_text(sentence, timeout=EVENTUALLY)
    expect(status_line(tab)).to_have_attribute("role", "alert")
    expect(tab.locator("#refusal")).to_contain_text(sentence)
    expect(tab.get_by_test_id("toast-body").filter(has_text=sentence)).to_be_visible()
    expect(tab.locator("#instruction input")).to_be_in_viewport(ratio=1)
    look(tab, "bad-file")
    ready(tab, photo)
    expect(tab.locator("#refusal")).to_be_hidden()


def test_thumbnails_are_named_by_what_they_show(tab, photo):
    ready(tab, photo)
    edit(tab)
    expect(turns(tab).nth(0)).to_have_accessible_name("The picture")
    expect(turns(tab).nth(1)).to_have_accessible_name(f"Turn 1: {SENTENCE}")
    edit(tab, "remove the blue square")
    expect(turns(tab).nth(2)).to_have_accessible_name("Turn 2: remove the blue square")
    expect(tab.get_by_label("Thumbnail", exact=False)).to_have_count(0)


def test_examples_are_named_by_their_sentences(tab):
    for number, example in enumerate(examples()):
        button = tab.locator("#examples .thumbnail-item").nth(number)
        expect(button).to_have_accessible_name(example.instruction)


def test_what_is_missing_is_told_in_a_sentence(tab, photo):
    ask(tab)
    expect(status_line(tab)).to_contain_text("There is no picture to edit yet", timeout=EVENTUALLY)
    ready(tab, photo)
    ask(tab, " ")
    expect(status_line(tab)).to_contain_text(
        "The sentence is blank; send a sentence", timeout=EVENTUALLY
    )
    tab.get_by_label("A new seed each time").uncheck()
    tab.locator("#seed input").fill("-1")
    ask(tab)
    expect(status_line(tab)).to_contain_text(
        "The seed is -1; it must be from 0", timeout=EVENTUALLY
    )
    tab.locator("#seed input").fill("3")
    edit(tab)


def test_no_server_is_told_in_a_sentence(tabs, photo):
    address = f"{HOST}:{free_port()}"
    with served(address, Options(port=0)) as url:
        page = tabs(url)
        expect(status_line(page)).to_contain_text(
            f"No server answers at {address}", timeout=EVENTUALLY
        )
        look(page, "no-server")
        ready(page, photo)
        ask(page)
        expect(status_line(page)).to_contain_text("make serve", timeout=EVENTUALLY)
        expect(page.locator("#edit")).to_be_visible()


@contextlib.contextmanager
def held_up(server, photo):
    """Edits of the lane bf16 wait at the denoiser meanwhile, on a machine however quick: others are
    there, which go before them, and the doors have room for one more."""
    over = threading.Event()

    def goes_before():
        with Retouch(f"{HOST}:{server.grpc}") as client:
            while not over.is_set():
                client.edit_one(
                    photo, SENTENCE, steps=int(LONG), region=b"full", precision="bf16", priority=1
                )

    threads = [threading.Thread(target=goes_before) for _ in range(DOORS - 1)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: metrics(server)["retouch_denoiser_running"], "none runs")
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_an_edit_is_stopped(tab, photo, server):
    ready(tab, photo)
    slow(tab)
    with held_up(server, photo):
        ask(tab)
        tab.locator("#stop").click()
        expect(status_line(tab)).to_contain_text("Stopped", timeout=EVENTUALLY)
    expect(turns(tab)).to_have_count(0)
    choose(tab, "#where", "Where the sentence says")
    edit(tab)


def test_a_picture_that_is_taken_away_in_an_edit_is_gone(tab, photo, server):
    ready(tab, photo)
    slow(tab)
    with held_up(server, photo):
        ask(tab)
        expect(tab.locator("#stop")).to_be_visible(timeout=EVENTUALLY)
        tab.locator("#photo").get_by_label("Remove Image").dispatch_event(
            "click"
        )  # the picture's buttons are covered
        expect(status_line(tab)).to_contain_text("Drop a picture", timeout=EVENTUALLY)
    settled(server)
    expect(tab.locator("#edit")).to_be_visible()
    expect(tab.locator("#photo img")).to_have_count(0)
    expect(turns(tab)).to_have_count(0)
    other = file_of(scene(160, 96))
    ready(tab, other)
    choose(tab, "#where", "Where the sentence says")
    edit(tab)
    assert images.decode(downloaded(tab)).shape == (96, 160, 3)


def test_turns_are_chosen_in_an_edit(tab, photo, server):
    ready(tab, photo)
    fixed(tab)
    edit(tab)
    slow(tab)
    with held_up(server, photo):
        ask(tab, "remove the blue square")
        expect(tab.locator("#stop")).to_be_visible(timeout=EVENTUALLY)
        tab.locator("#undo").dispatch_event("click")
        expect(status_line(tab)).to_contain_text("This is the original picture", timeout=EVENTUALLY)
    settled(server)
    expect(tab.locator("#edit")).to_be_visible()
    expect(turns(tab)).to_have_count(2)
    assert downloaded(tab) == photo
    expect(status_line(tab)).to_contain_text("This is the original picture")


def test_a_closed_tab_frees_its_slot(tabs, photo, server):
    """Closed while the denoiser has its edit, which a busy machine may bring there too late, but
    not each time."""
    assert any(closing_cancels(tabs(), photo, server, later=0.2 * times) for times in range(6))


def closing_cancels(tab, photo, server, later: float) -> bool:
    """Whether the denoiser was told; whatever it was, nothing is left."""
    before = settled(server)
    ready(tab, photo)
    slow(tab)
    with held_up(server, photo):
        ask(tab)
        expect(tab.locator("#stop")).to_be_visible(timeout=EVENTUALLY)
        time.sleep(later)
        tab.close()
        time.sleep(1)  # Gradio sees it go within that
    after = settled(server)

    def grown(name):
        return after[f"retouch_denoiser_{name}"] - before[f"retouch_denoiser_{name}"]

    assert grown("cancelled_total") <= 1
    assert after["retouch_denoiser_running"] == after["retouch_denoiser_waiting"] == 0
    return grown("cancelled_total") == 1 and grown("steps_cancelled_total") >= 1


def test_tabs_have_their_own_pictures(tabs, photo):
    one = tabs()
    other = tabs()
    ready(one, photo)
    ready(other, file_of(scene(160, 96)))
    edit(one)
    edit(other, "remove the blue square")
    edit(one, "make the blue square green")
    expect(turns(one)).to_have_count(3)
    expect(turns(other)).to_have_count(2)
    assert images.decode(downloaded(one)).shape == (128, 128, 3)
    assert images.decode(downloaded(other)).shape == (96, 160, 3)


def test_a_result_is_rated(tab, photo, feedback_store):
    ready(tab, photo)
    expect(tab.locator("#rating")).to_be_hidden()
    fixed(tab)
    edit(tab)
    answer = tab.locator("#rate-status")
    tab.get_by_role("button", name="Good").click()
    expect(answer).to_contain_text("Your feedback is stored", timeout=EVENTUALLY)
    tab.get_by_label("Why? (optional)").fill("it is the wrong circle")
    tab.get_by_role("button", name="Bad").click()
    store = Store(Database(url_of(feedback_store)))
    until(lambda: [entry.score for entry in store.labelled()] == [0.0], "the last click counts")
    (labelled,) = store.labelled()
    store.close()
    assert labelled.reason == "it is the wrong circle"
    assert (labelled.answer.lane, labelled.answer.seed) == ("bf16", 7)
    look(tab, "rated")
    undo(tab)
    expect(tab.locator("#rating")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_reads_well(tab, photo, scheme):
    """In a wide and in a narrow window, each as it is opened."""
    tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    faults_found = [
        fault for width in WIDTHS for fault in faults(tab, width, f"empty-{width}-{scheme}")
    ]
    ready(tab, photo)
    edit(tab)
    for width in WIDTHS:
        faults_found += faults(tab, width, f"edited-{width}-{scheme}", unfold=True)
    assert faults_found == []


def faults(page, width, name, unfold=False):
    """Of the page when it is opened again in a window of this width; with all that it can show when
    it is to `unfold`."""
    from axe_playwright_python.sync_playwright import Axe

    page.set_viewport_size({"width": width, "height": 844})
    page.reload()
    expect(status_line(page)).to_be_visible(timeout=EVENTUALLY)
    if unfold:
        expect(turns(page)).to_have_count(2, timeout=EVENTUALLY)
        page.locator("#advanced > button").click()
        expect(page.get_by_label("Deadline in milliseconds")).to_be_visible()
    look(page, name)
    faults_found = [*violations(Axe(), page)]
    if page.evaluate("document.documentElement.scrollWidth") > width:
        faults_found.append(f"it is wider than {width}")
    return faults_found


def violations(axe, page):
    """Serious ones, each as its rule and the elements."""
    for rule in axe.run(page).response["violations"]:
        if rule["impact"] in ("serious", "critical"):
            yield rule["id"], [node["target"] for node in rule["nodes"]]
