"""The OpenAPI document of the OpenAI-compatible server says what it does."""

from __future__ import annotations

import tempfile

import schemathesis
from hypothesis import HealthCheck, settings

import openai_document
from fake_doors import FakeDoors
from retouch_clients.feedback.settings import Settings
from retouch_clients.openai_api.api_keys import Keys
from retouch_clients.openai_api.app import create_app

FOLDER = tempfile.TemporaryDirectory(prefix="retouch-feedback-")
APP = create_app(
    FakeDoors(),
    Keys.of([openai_document.KEY]),
    max_body=1 << 20,
    feedback_settings=Settings(f"{FOLDER.name}/feedback.db"),
)
schema = schemathesis.openapi.from_asgi("/openapi.json", APP)


@schema.parametrize()
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
def test_answers_are_those_of_the_document(case):
    openai_document.call(case)
