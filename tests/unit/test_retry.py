"""When the client comes again, what it makes of a server's words, and that all attempts share one
timeout."""

from __future__ import annotations

import asyncio

import pytest

from retouch.api.errors import RequestError
from retouch.api.response import EditAnswer, EditInfo
from retouch.api.triton_errors import read_error
from retouch.client import AsyncRetouch, Retouch, Retries
from retouch.client.errors import in_queue

QUICK = Retries(attempts=3, first=0.001)
BUSY = "5 edits are running already; try again in 0.0 s [code=UNAVAILABLE retry_after=0]"


def answer(kind):
    return EditAnswer(b"", (1, 1), EditInfo(kind, 1, "bf16"))


class FakeTransport:
    """A connection on which each attempt does the next of `acts`: answers, or a failure's words."""

    def __init__(self, *acts):
        self.acts = list(acts)
        self.tried = 0

    def edit(self, request, timeout):
        timeout.remaining()
        self.tried += 1
        for act in self.acts.pop(0):
            if isinstance(act, str):
                raise read_error(act)
            yield act


class AsyncFakeTransport(FakeTransport):
    async def edit(self, request, timeout):
        for item in super().edit(request, timeout):
            yield item


def sync_edit(transport, **options):
    client = Retouch(**options)
    client._transport = transport
    return list(client.edit(b"x", "y"))


def async_edit(transport, **options):
    async def collect():
        client = AsyncRetouch(**options)
        client._transport = transport
        return [item async for item in client.edit(b"x", "y")]

    return asyncio.run(collect())


@pytest.fixture(
    params=[(sync_edit, FakeTransport), (async_edit, AsyncFakeTransport)], ids=["sync", "async"]
)
def ways(request):
    return request.param


def test_it_comes_again_until_it_is_taken(ways):
    edit = ways[0]
    transport = ways[1]([BUSY], [BUSY], [answer("preview"), answer("final")])
    assert [item.final for item in edit(transport, retries=QUICK)] == [False, True]
    assert transport.tried == 3


def test_not_for_ever(ways):
    edit = ways[0]
    transport = ways[1](*[[BUSY]] * 9)
    with pytest.raises(RequestError, match="try again in") as raised:
        edit(transport, retries=QUICK)
    assert (
        raised.value.code == "UNAVAILABLE"
        and raised.value.retry_after == 0.0
        and transport.tried == 3
    )


def test_not_after_an_answer(ways):
    edit = ways[0]
    transport = ways[1]([answer("preview"), BUSY], [answer("final")])
    with pytest.raises(RequestError):
        edit(transport, retries=QUICK)
    assert transport.tried == 1


def test_not_for_what_is_wrong(ways):
    edit = ways[0]
    transport = ways[1](["IMAGE is not a picture file"], [answer("final")])
    with pytest.raises(RequestError) as raised:
        edit(transport, retries=QUICK)
    assert raised.value.code == "INVALID_ARGUMENT" and transport.tried == 1


def test_not_when_the_time_out_comes_before(ways):
    edit = ways[0]
    transport = ways[1](
        ["5 edits are running already; try again in 60 s [code=UNAVAILABLE retry_after=60]"],
        [answer("final")],
    )
    with pytest.raises(RequestError, match="try again in 60 s"):
        edit(transport, retries=QUICK, timeout=5)
    assert transport.tried == 1


def test_bad_input_is_not_sent(ways):
    transport = ways[1]([answer("final")])
    client = Retouch()
    client._transport = transport
    with pytest.raises(RequestError, match="INSTRUCTION is blank"):
        client.edit(b"x", " ")
    assert transport.tried == 0


def test_pauses_grow_and_heed_the_server():
    failure = read_error("full; try again in 0.1 s [code=UNAVAILABLE retry_after=0.1]")
    error = read_error("full; try again in 7.5 s [code=UNAVAILABLE retry_after=7.5]")
    retries = Retries(attempts=9, first=1.0, longest=4.0)
    for tried, most in ((1, 1.0), (2, 2.0), (3, 4.0), (8, 4.0)):
        pauses = [retries.pause(failure, tried) for _ in range(50)]
        assert most / 2 <= min(pauses) and max(pauses) <= most and len(set(pauses)) > 1
    assert retries.pause(error, 1) == 7.5 and retries.pause(failure, 9) is None


@pytest.mark.parametrize(
    ("message", "error", "status", "hint"),
    [
        (
            "[request id: a1] 3 edits are running already; try again in 1.5 s "
            "[code=UNAVAILABLE retry_after=1.5]",
            "",
            "UNAVAILABLE",
            1.5,
        ),
        (
            "DEADLINE_MS has passed; allow more time or ask for fewer steps "
            "[code=DEADLINE_EXCEEDED field=DEADLINE_MS]",
            "UNAVAILABLE",
            "DEADLINE_EXCEEDED",
            None,
        ),
        (
            "DEADLINE_MS 40 has passed; allow more time or ask for fewer steps "
            "[code=DEADLINE_EXCEEDED field=DEADLINE_MS]",
            "UNKNOWN",
            "DEADLINE_EXCEEDED",
            None,
        ),
        (
            "[request id: a] in ensemble 'edit_ensemble', DEADLINE_MS 40 has passed; allow more "
            "time [code=DEADLINE_EXCEEDED field=DEADLINE_MS]",
            "",
            "DEADLINE_EXCEEDED",
            None,
        ),
        ("DEADLINE_MS is -1; it must be from 0 to 2147483647", "", "INVALID_ARGUMENT", None),
        ("Exceeds maximum queue size", "", "UNAVAILABLE", None),
        (
            "the edit failed inside the server; its log says why [code=INTERNAL]",
            "",
            "INTERNAL",
            None,
        ),
        (
            "Request for unknown model: 'edit' is not found",
            "StatusCode.NOT_FOUND",
            "UNAVAILABLE",
            None,
        ),
        (
            "STEPS is -1; it must be from 0 to 50",
            "StatusCode.INVALID_ARGUMENT",
            "INVALID_ARGUMENT",
            None,
        ),
        (
            "DEADLINE_MS 9 cannot be met: fp4, which is the first to finish, needs "
            "about 70 ms [code=DEADLINE_EXCEEDED field=DEADLINE_MS]",
            "INVALID_ARGUMENT",
            "DEADLINE_EXCEEDED",
            None,
        ),
        ("no words of ours", "StatusCode.RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", None),
        ("no words of ours", "StatusCode.UNKNOWN", "INVALID_ARGUMENT", None),
        ("", "", "INTERNAL", None),
        ("", "StatusCode.UNAVAILABLE", "UNAVAILABLE", None),
        (
            "Failed to increase the shared memory pool size for key 'a_1' to 9 bytes. If you are",
            "INVALID_ARGUMENT",
            "INTERNAL",
            None,
        ),
    ],
)
def test_a_servers_words(message, error, status, hint):
    failure = read_error(message, error)
    assert (failure.code, failure.retry_after) == (status, hint) and str(failure)


@pytest.mark.parametrize(
    ("message", "deadline_ms", "status"),
    [
        ("Request timeout expired", 40, "DEADLINE_EXCEEDED"),
        ("Request timeout expired", 0, "UNAVAILABLE"),
        ("Exceeds maximum queue size", 40, "UNAVAILABLE"),
    ],
)
def test_what_ran_out_in_the_queue_is_the_deadline_where_there_is_one(message, deadline_ms, status):
    failure = in_queue(read_error(message), deadline_ms)
    assert failure.code == status and ("DEADLINE_MS 40" in str(failure)) == (
        status == "DEADLINE_EXCEEDED"
    )
