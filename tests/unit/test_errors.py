"""Errors as text: all parts survive a text, what Triton puts before it, and sentences that imitate
it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import retouch
from retouch.api.errors import CODES, FIELD_NAME, RequestError, about
from retouch.api.fields import FIELDS
from retouch.api.triton_errors import (
    CANNOT_OPEN,
    NO_MEMORY,
    NO_REASON,
    REGION_IN_USE,
    REGION_UNKNOWN,
    RESTRICTED,
    from_retouch,
    is_form,
    is_unreachable,
    known_error,
    read_error,
)
from retouch_clients import option_names

FIELD_NAMES = st.one_of(st.none(), st.from_regex(FIELD_NAME, fullmatch=True))
SECONDS = st.one_of(st.none(), st.integers(0, 10**9).map(lambda number: number / 1000))
MESSAGES = st.one_of(
    st.text(),
    st.from_regex(r"(.*\n)*.* \[code=(INTERNAL|NONE)( field=[A-Z]*)?( retry_after=[0-9]*)?\]? *"),
)
ERRORS = st.builds(
    RequestError,
    MESSAGES,
    st.sampled_from(CODES),
    field=FIELD_NAMES,
    retry_after=SECONDS,
    examples=st.lists(st.one_of(st.text(min_size=1), MESSAGES), max_size=3),
)
WRAPPINGS = (
    "",
    "[request id: a1] ",
    "[request id: <id_unknown>] ",
    "in ensemble 'edit_ensemble', ",
    "[request id: a1] in ensemble 'edit_ensemble', ",
)


def parts(error):
    return error.message, error.code, error.field, error.retry_after


@given(ERRORS)
def test_a_text_keeps_all_parts(error):
    read = RequestError.from_text(error.to_text())
    assert (parts(read), read.examples) == (parts(error), error.examples)


@given(ERRORS, st.sampled_from(WRAPPINGS))
def test_so_does_what_triton_makes_of_it(error, wrapping):
    error.message = f"STEPS {error.message}"
    for read in (from_retouch, known_error, read_error):
        again = read(wrapping + error.to_text())
        assert (parts(again), again.examples) == (parts(error), error.examples)


@given(ERRORS)
def test_people_read_the_sentence_first(error):
    assert error.to_text().startswith(f"{error.message} [code={error.code}")


@given(st.text())
def test_other_texts_are_not_ours(text):
    assert RequestError.from_text(text) is None


@pytest.mark.parametrize(
    "tail",
    [
        "[code=OTHER]",
        "[code=INTERNAL field=steps]",
        "[code=INTERNAL field=]",
        "[code=INTERNAL retry_after=-1]",
        "[code=INTERNAL retry_after=1e3]",
        "[code=INTERNAL retry_after=nan]",
        "[code=INTERNAL retry_after=2 field=STEPS]",
        "[field=STEPS code=INTERNAL]",
        "[code=INTERNAL] ",
        "[code=INTERNAL]\n",
        "[code=INTERNAL",
        "code=INTERNAL",
        "[code=INTERNAL retry_after=٣]",
        "[code=INTERNAL examples=]",
        '[code=INTERNAL examples=["a"]]',
        '[code=INTERNAL examples="a" "b"]',
        '[code=INTERNAL examples="\\q"]',
        '[code=INTERNAL examples="a",]',
    ],
)
def test_the_part_for_machines_is_strict(tail):
    assert RequestError.from_text(f"STEPS is 99 {tail}") is None


def test_the_last_part_for_machines_counts():
    text = RequestError(
        "PRECISION 'x [code=INTERNAL]' [code=INTERNAL]", field="PRECISION"
    ).to_text()
    error = RequestError.from_text(text)
    assert (error.code, error.field) == ("INVALID_ARGUMENT", "PRECISION")
    assert error.message == "PRECISION 'x [code=INTERNAL]' [code=INTERNAL]"


def test_the_form_that_the_readme_shows():
    error = RequestError("STEPS is 99; it must be from 0 to 50", field="STEPS")
    assert error.to_text() == (
        "STEPS is 99; it must be from 0 to 50 [code=INVALID_ARGUMENT field=STEPS]"
    )
    busy = RequestError("the server is full", "UNAVAILABLE", retry_after=2.0)
    assert busy.to_text() == "the server is full [code=UNAVAILABLE retry_after=2]"
    odd = RequestError(
        "INSTRUCTION is odd", "INSTRUCTION_NOT_UNDERSTOOD", field="INSTRUCTION", examples=["a", "b"]
    )
    assert odd.to_text() == (
        'INSTRUCTION is odd [code=INSTRUCTION_NOT_UNDERSTOOD field=INSTRUCTION examples="a","b"]'
    )


@given(ERRORS)
def test_the_last_bracket_begins_the_part_for_machines(error):
    text = error.to_text()
    assert text[text.rindex("[") :].startswith(f"[code={error.code}") and text.endswith("]")


@pytest.mark.parametrize("seconds, text", [(0.0, "0"), (-1.0, "0"), (1.23456, "1.235"), (30, "30")])
def test_pauses_are_told_to_a_millisecond(seconds, text):
    error = RequestError("full", "UNAVAILABLE", retry_after=seconds)
    assert error.to_text() == f"full [code=UNAVAILABLE retry_after={text}]"


def test_names_are_those_of_the_client():
    names = {"NEGATIVE": "--negative", "TRUE_CFG": "--true-cfg"}
    message = "NEGATIVE counts with a TRUE_CFG above 1; REFERENCE_LATENTS and NEGATIVES do not"
    assert RequestError(message, field="NEGATIVE").renamed(names) == (
        "--negative counts with a --true-cfg above 1; REFERENCE_LATENTS and NEGATIVES do not"
    )
    assert RequestError(message).renamed(names) == message, "no field, no names"


def test_a_block_is_about_a_field():
    for name, own, field in (
        ("MASK", None, "MASK"),
        ("MASK", "IMAGE", "IMAGE"),
        ("the photo", None, None),
    ):
        with pytest.raises(RequestError) as raised, about(name):
            raise RequestError("it is torn", field=own)
        assert raised.value.field == field


# -- tritonserver's own ----------------------------------------------------------------------------


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize(
    "text, status, code, field",
    [
        ("Exceeds maximum queue size", "", "UNAVAILABLE", None),
        ("Request timeout expired", "UNKNOWN", "UNAVAILABLE", "DEADLINE_MS"),
        (
            "Server is stopping, scheduler for model has stopped accepting new inference requests",
            "INVALID_ARGUMENT",
            "UNAVAILABLE",
            None,
        ),
        ("Request for unknown model: 'edit' is not found", "", "UNAVAILABLE", None),
        ("Request for unknown model: 'edit' has no available versions", "", "UNAVAILABLE", None),
        (
            "Request for unknown model: 'edit' version 1 is not at ready state",
            "StatusCode.UNAVAILABLE",
            "UNAVAILABLE",
            None,
        ),
        ("Stub process 'edit_0_0' is not healthy.", "UNKNOWN", "INTERNAL", None),
        (
            "Failed to process the request(s) for model instance 'edit_0', message: x",
            "",
            "INTERNAL",
            None,
        ),
        (
            "unexpected shape for input 'SEED' for model 'edit'. Expected [1], got [2].",
            "",
            "INVALID_ARGUMENT",
            "SEED",
        ),
        (
            "inference input 'STEPS' data-type is 'FP32', but model 'edit' expects 'INT32'",
            "",
            "INVALID_ARGUMENT",
            "STEPS",
        ),
        (
            "expected number of inputs between 2 and 15 but got 1 inputs for model 'edit'. Got "
            "input(s) ['IMAGE'], but missing required input(s) ['INSTRUCTION']. Please provide all",
            "",
            "INVALID_ARGUMENT",
            "INSTRUCTION",
        ),
        ("unexpected inference input 'COLOUR' for model 'edit'", "", "INVALID_ARGUMENT", None),
        ("no form of 2.51", "StatusCode.RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", None),
        ("no form of 2.51", "StatusCode.UNKNOWN", "INVALID_ARGUMENT", None),
        ("no form of 2.51", "StatusCode.NOT_FOUND", "UNAVAILABLE", None),
        ("no form of 2.51", "StatusCode.DATA_LOSS", "INTERNAL", None),
    ],
)
def test_forms_of_tritonserver(wrapping, text, status, code, field):
    assert parts(read_error(wrapping + text, status)) == (text, code, field, None)


def test_no_reason_and_too_little_memory_have_sentences():
    assert parts(read_error("")) == (NO_REASON, "INTERNAL", None, None)
    assert parts(read_error("", "StatusCode.UNAVAILABLE"))[:2] == (NO_REASON, "UNAVAILABLE")
    for before in ("", "Failed to process the request(s) for model instance 'a', message: "):
        text = (
            f"{before}Failed to increase the shared memory pool size for key 'a_1' to 9 bytes. If"
        )
        assert parts(read_error(text, "INVALID_ARGUMENT"))[:2] == (NO_MEMORY, "INTERNAL")


def test_a_sentence_of_ours_is_no_form_of_tritonserver():
    """Only the part for machines counts, also where a sentence cites tritonserver."""
    error = RequestError("Exceeds maximum queue size", "INTERNAL")
    assert read_error(error.to_text()).code == "INTERNAL"


@pytest.mark.parametrize(
    "form, text",
    [
        (RESTRICTED, "This protocol is restricted, expecting header 'triton-grpc-protocol-secret'"),
        (CANNOT_OPEN, "Unable to open shared memory region: '/retouch-1'"),
        (REGION_UNKNOWN, "[request id: 1] Unable to find shared memory region: 'retouch-1'"),
        (
            REGION_IN_USE,
            "Cannot unregister shared memory region 'retouch-1', it is currently in use.",
        ),
    ],
)
def test_forms_of_shared_memory(form, text):
    forms = (RESTRICTED, CANNOT_OPEN, REGION_UNKNOWN, REGION_IN_USE)
    assert [other for other in forms if is_form(other, text)] == [form]


@pytest.mark.parametrize(
    "text, status, expected",
    [
        ("failed to connect to all addresses; last error: Connection refused", "UNAVAILABLE", True),
        ("Socket closed", "StatusCode.UNAVAILABLE", True),
        ("recvmsg:Connection reset by peer", "UNAVAILABLE", True),
        ("Connection reset by peer", "INTERNAL", False),
        ("Exceeds maximum queue size", "UNAVAILABLE", False),
        ("the server is stopping; connect later [code=UNAVAILABLE]", "UNAVAILABLE", False),
    ],
)
def test_a_server_that_does_not_answer(text, status, expected):
    assert is_unreachable(text, status) == expected


# -- where errors are raised -----------------------------------------------------------------------


def test_every_error_that_begins_with_a_field_has_one():
    names = {tensor.name for tensor in FIELDS}
    packages = (retouch, option_names)
    for package in packages:
        for path in Path(package.__file__).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and _is_request_error(node):
                    first = _begin(node.args[0]).partition(" ")[0]
                    has_field = any(keyword.arg == "field" for keyword in node.keywords)
                    assert has_field or first not in names, f"{path}:{node.lineno}"


def _is_request_error(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == "RequestError" and bool(node.args)


def _begin(message: ast.expr) -> str:
    """The constant text that a message begins with."""
    if isinstance(message, ast.JoinedStr) and message.values:
        message = message.values[0]
    return message.value if isinstance(message, ast.Constant) and message.value else ""
