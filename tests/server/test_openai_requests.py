"""The OpenAPI document says what the OpenAI-compatible server does before a real tritonserver, in a
few requests."""

from __future__ import annotations

import json
import urllib.request

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

import openai_document
from benchmarks.openai_server import openai_server
from retouch_clients.openai_api.app import create_app

schema = schemathesis.openapi.from_dict(create_app(None).openapi())


@pytest.fixture(scope="module")
def url(server):
    with openai_server(f"127.0.0.1:{server.grpc}", RETOUCH_API_KEYS=openai_document.KEY) as base:
        yield base.removesuffix("/v1")


def test_the_document_is_served(url):
    with urllib.request.urlopen(f"{url}/openapi.json") as response:
        assert json.load(response) == schema.raw_schema


@schema.parametrize()
@settings(max_examples=25, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_answers_are_those_of_the_document(case, url):
    """Which parameters are taken depends on the checkpoint: the shipped one knows no references and
    no negatives."""
    openai_document.call(case, url, [positive_data_acceptance])
