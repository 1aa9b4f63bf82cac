"""The page's thumbs, without a browser or a server."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import gradio as gr
import pytest

from pictures import file_of, scene
from retouch.api.response import EditAnswer, EditInfo
from retouch_clients.feedback.errors import StoreUnavailable
from retouch_clients.feedback.service import FeedbackService
from retouch_clients.feedback.settings import Settings
from retouch_clients.web.app import App
from retouch_clients.web.layout import Layout
from retouch_clients.web.rating_events import RatingEvents
from retouch_clients.web.turns import History

PHOTO = file_of(scene(64, 48))
INFO = EditInfo("final", 7, "bf16", steps=3, request_id="req_7")


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    made = App("127.0.0.1:1", Settings(str(tmp_path_factory.mktemp("page") / "feedback.db")))
    yield made
    made.feedback.close()


def history(info=INFO):
    return History.of(PHOTO).added(PHOTO, "make it warmer", info)


def rated(app, thumb, edited, reason=""):
    """The status below the thumbs after a click."""
    values = {app.page.history: edited, app.page.rating.reason: reason}
    events = RatingEvents(app.page, app.feedback)
    handler = events.rated_up if thumb == "up" else events.rated_down
    return asyncio.run(handler(values))[app.page.rating.status]


def is_shown(app, edited):
    return app.view.current_turn(edited)[app.page.rating.column]["visible"]


def test_a_result_is_rated_and_rated_again(app):
    app.editing._record(PHOTO, EditAnswer(PHOTO, (3, 3), INFO))
    assert "stored" in rated(app, "up", history())
    assert "stored" in rated(app, "up", history())
    assert "stored" in rated(app, "down", history(), "the sky\0 changed")
    (labelled,) = app.feedback._store.labelled()
    assert (labelled.score, labelled.reason) == (0.0, "the sky changed")
    assert (labelled.answer.model, labelled.answer.owner) == ("page", "page")


def test_what_is_not_stored_is_an_alert(app, monkeypatch):
    unknown = rated(app, "up", history(replace(INFO, request_id="req_8")))
    assert 'role="alert"' in unknown and "there is no answer" in unknown
    assert "expired" in rated(app, "up", None)

    def give(_):
        raise StoreUnavailable("the store of feedback fails: <b>")

    monkeypatch.setattr(app.feedback._store, "give", give)
    assert "fails: &lt;b&gt;" in rated(app, "up", history())


def test_only_results_that_are_recorded_are_rated(app):
    assert is_shown(app, history())
    assert not is_shown(app, history().undone())
    nameless = replace(INFO, request_id="")  # of an older server
    assert not is_shown(app, history(nameless))
    app.editing._record(PHOTO, EditAnswer(PHOTO, (3, 3), nameless))
    assert app.view.empty()[app.page.rating.column]["visible"] is False


def test_a_page_without_feedback_has_no_thumbs():
    with gr.Blocks():
        page = Layout([])
    assert page.rating.components() == [] and not hasattr(page.rating, "up")
    assert page.rating.updates(history().current) == {}


def test_a_service_is_closed_twice_without_harm(tmp_path):
    service = FeedbackService(Settings(str(tmp_path / "feedback.db")))
    service.close()
    service.close()
