"""The OpenAPI document of the OpenAI-compatible server says what it does."""

from __future__ import annotations

import openai_document
import schemathesis
from fake_doors import FakeDoors
from hypothesis import HealthCheck, settings

from clients.openai_api.app import create_app
from clients.openai_api.keys import Keys

APP = create_app(FakeDoors(), Keys.of([openai_document.KEY]), max_body=1 << 20)
schema = schemathesis.openapi.from_asgi("/openapi.json", APP)


@schema.parametrize()
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_answers_are_those_of_the_document(case):
    openai_document.call(case)
