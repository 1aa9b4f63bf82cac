"""What lists request fields, held against the table of them (retouch/api/fields.py)."""

from __future__ import annotations

import dataclasses

import click
import pytest

from retouch.api import limits
from retouch.api.fields import FIELDS
from retouch.api.request import EditOptions, EditRequest
from retouch_clients.batch.job import COLUMNS
from retouch_clients.command import retouch
from retouch_clients.openai_api.parameters import OpenAIParameters, Parameters

FILE_PARAMETERS = {"image", "image[]", "mask"}  # of the OpenAI API: they are no text


def test_the_request_has_the_fields_of_the_table():
    attributes = dataclasses.fields(EditRequest)
    assert [attribute.name for attribute in attributes] == [field.attribute for field in FIELDS]
    for attribute, field in zip(attributes, FIELDS):
        assert attribute.type.partition("[")[0] == field.type.__name__
        if field.is_required:
            assert attribute.default is attribute.default_factory is dataclasses.MISSING
        elif field.draw:
            assert attribute.default_factory is field.draw
        else:
            assert attribute.default == field.default
            assert type(attribute.default) is field.type


def test_the_clients_options_are_the_optional_fields_of_the_table():
    """Their annotations stay texts, for Pillow is imported by type checkers alone."""
    options = {name: option.__forward_arg__ for name, option in EditOptions.__annotations__.items()}
    optional = [field for field in FIELDS if not field.is_required]
    assert list(options) == [field.attribute for field in optional]
    for field in optional:
        by_type = {
            bytes: "Literal['auto', 'full', 'find'] | ImageInput",
            tuple: "Sequence[ImageInput]",
        }
        expected = by_type.get(field.type, field.type.__name__)
        assert options[field.attribute].replace('"', "'") == expected
    assert EditOptions.__required_keys__ == frozenset()


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_default_is_within_its_limits(field):
    if not field.is_required:
        field.check(field.name, field.new_default())


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_fields_help_is_one_short_sentence(field):
    assert field.help[0].isupper() and field.help.endswith(".") and len(field.help.split()) <= 25


def parameters_of(command):
    """The names that a command takes by what is typed."""
    return {typed: parameter.name for parameter in command.params for typed in parameter.opts}


def test_the_commands_have_the_options_of_the_table():
    edit = parameters_of(retouch.get_command(click.Context(retouch), "edit"))
    batch = parameters_of(retouch.get_command(click.Context(retouch), "batch"))
    for field in FIELDS:
        if field.is_required:
            assert field.attribute in edit
        else:
            assert edit[field.option] == field.attribute
        if field.option and field.column:
            assert batch[field.option] == field.attribute


def test_a_batchs_list_has_the_columns_of_the_table():
    assert set(COLUMNS) == {field.column for field in FIELDS if field.column} | {"out", "mask"}
    assert len(COLUMNS) == len(set(COLUMNS))


def test_the_openai_api_has_the_parameters_of_the_table():
    names = {field.parameter for field in FIELDS if field.parameter}
    assert names <= set(Parameters.model_fields) | FILE_PARAMETERS
    extras = {field.parameter for field in FIELDS if field.is_extra}
    own = set(Parameters.model_fields) - set(OpenAIParameters.model_fields)
    assert own == extras | {"region"}  # the values of REGION that are no mask
    region = Parameters.model_json_schema()["properties"]["region"]["anyOf"][0]["enum"]
    assert tuple(region) == limits.REGIONS
