"""The Python client against a real server: both kinds over both protocols, cancelling, many at
once, and no server at all."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from counts import cancelled_by
from retouch.api.errors import RequestError
from retouch.client import AsyncRetouch, Retouch, Retries
from retouch.launcher.server import free_port

SENTENCE = "make the red circle blue"
BOTH = pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])


def url_of(server, http):
    return f"127.0.0.1:{server.http if http else server.grpc}"


def test_every_way_gives_the_same_bytes(server, photo):
    async def alike(http):
        async with AsyncRetouch(url_of(server, http), http) as client:
            return [
                answer
                async for answer in client.edit(
                    photo, SENTENCE, seed=5, steps=4, previews=2, precision="bf16"
                )
            ]

    ways = [asyncio.run(alike(http)) for http in (False, True)]
    for http in (False, True):
        with Retouch(url_of(server, http), http) as client:
            ways.append(
                list(client.edit(photo, SENTENCE, seed=5, steps=4, previews=2, precision="bf16"))
            )
    assert all(len(way) == 3 and way[-1].step == (4, 4) for way in ways)
    assert len({tuple(answer.image for answer in way) for way in ways}) == 1
    assert all(way[-1].final and not way[0].final for way in ways)


@BOTH
def test_it_knows_the_lanes_and_whether_there_is_a_server(server, http):
    async def known():
        async with AsyncRetouch(url_of(server, http), http) as client:
            return await client.ready(), await client.lanes()

    with Retouch(url_of(server, http), http) as client:
        assert (client.ready(), client.lanes()) == asyncio.run(known())
        assert client.ready() and {"bf16", "fp8", "fp4"} <= set(client.lanes())


@BOTH
def test_leaving_cancels(server, photo, http):
    def leave():
        answers = Retouch(url_of(server, http), http).edit(
            photo, SENTENCE, steps=50, previews=8, region=b"full"
        )
        next(answers)
        answers.close()

    assert cancelled_by(server, leave)


@BOTH
@pytest.mark.parametrize("how", ["aclose", "task"])
def test_leaving_cancels_in_asyncio(server, photo, http, how):
    async def leave():
        async with AsyncRetouch(url_of(server, http), http) as client:
            answers = client.edit(photo, SENTENCE, steps=50, previews=8, region=b"full")
            await anext(answers)
            if how == "aclose":
                await answers.aclose()
            else:
                task = asyncio.create_task(anext(answers))
                await asyncio.sleep(0.01)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    assert cancelled_by(server, lambda: asyncio.run(leave()))


@BOTH
def test_many_at_once_get_their_own(server, photo, http):
    async def all_of_them():
        async with AsyncRetouch(url_of(server, http), http) as client:
            return await asyncio.gather(
                *(client.edit_one(photo, SENTENCE, seed=seed, precision="fp8") for seed in range(8))
            )

    alone = Retouch(url_of(server, False))
    for seed, answer in enumerate(asyncio.run(all_of_them())):
        assert answer.info.seed == seed
        assert answer.image == alone.edit_one(photo, SENTENCE, seed=seed, precision="fp8").image


@BOTH
def test_a_time_out_says_so(server, photo, http):
    async def impatient():
        async with AsyncRetouch(url_of(server, http), http, timeout=0.15) as client:
            await client.edit_one(photo, SENTENCE, steps=50, previews=8, region=b"full")

    for late in (
        lambda: Retouch(url_of(server, http), http, timeout=0.15).edit_one(
            photo, SENTENCE, steps=50, region=b"full"
        ),
        lambda: asyncio.run(impatient()),
    ):
        with pytest.raises(RequestError, match=r"no result within 0\.15 s") as raised:
            late()
        assert raised.value.code == "DEADLINE_EXCEEDED"


@BOTH
@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({"region": b"no mask"}, "INVALID_ARGUMENT", "REGION"),
        ({"steps": -1}, "INVALID_ARGUMENT", "STEPS is -1"),
        ({"steps": 50, "region": b"full", "deadline_ms": 30}, "DEADLINE_EXCEEDED", "DEADLINE_MS"),
    ],
)
def test_refusals_have_a_status_and_a_sentence(server, photo, http, options, status, message):
    async def refused():
        async with AsyncRetouch(url_of(server, http), http) as client:
            await client.edit_one(photo, SENTENCE, **options)

    for ask in (
        lambda: Retouch(url_of(server, http), http).edit_one(photo, SENTENCE, **options),
        lambda: asyncio.run(refused()),
    ):
        with pytest.raises(RequestError, match=message) as raised:
            ask()
        assert raised.value.code == status


@BOTH
def test_where_no_server_is(photo, http):
    url = f"127.0.0.1:{free_port()}"

    async def lost():
        async with AsyncRetouch(url, http, retries=Retries(attempts=2, first=0.01)) as client:
            assert not await client.ready()
            await client.edit_one(photo, SENTENCE)

    client = Retouch(url, http, retries=Retries(attempts=2, first=0.01))
    assert not client.ready()
    for ask in (
        lambda: client.edit_one(photo, SENTENCE),
        lambda: asyncio.run(lost()),
        client.lanes,
    ):
        with pytest.raises(
            RequestError, match=f"no server answers at {url}; start one with `retouch serve`"
        ) as raised:
            ask()
        assert raised.value.code == "UNAVAILABLE"
