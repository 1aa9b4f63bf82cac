"""The Python client with shared memory against a real server: the same bytes, and nothing that
stays."""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np
import pytest
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from pictures import file_of, scene
from processes import until
from retouch.api.errors import RequestError
from retouch.client import AsyncRetouch, Retouch, Retries
from retouch.client.shared_memory import FOLDER, LEAST
from retouch.launcher.secret import grpc_headers, secret_of
from retouch.launcher.server import free_port

SENTENCE = "make the red circle blue"


@pytest.fixture
def url(server):
    return f"127.0.0.1:{server.grpc}"


@pytest.fixture(scope="module")
def large():
    """A picture whose file is larger than the smallest region."""
    noise = np.random.default_rng(0).integers(0, 256, (640, 640, 3), np.uint8)
    return file_of(noise)


@pytest.fixture(autouse=True)
def nothing_stays(url):
    """In /dev/shm, or with the server."""
    yield
    assert not list(FOLDER.glob("retouch-*"))
    assert regions(url) == set()


def regions(url):
    with grpc.InferenceServerClient(url) as triton:
        return set(
            triton.get_system_shared_memory_status(headers=grpc_headers(secret_of(url))).regions
        )


def forgets(triton, url):
    """Whether a server has dropped all regions: not those of an edit that it has not done with."""
    with contextlib.suppress(InferenceServerException):
        triton.unregister_system_shared_memory(headers=grpc_headers(secret_of(url)))
        return True


def test_the_same_bytes_as_in_messages(url, photo, large):
    assert len(large) > LEAST
    with Retouch(url) as plain, Retouch(url, shared_memory=True) as shared:
        for image, options in (
            (photo, {}),
            (large, {"region": b"full"}),
            (photo, {"region": file_of(np.full((128, 128), 255, np.uint8))}),
        ):
            plain_answers, got = (
                list(client.edit(image, SENTENCE, seed=5, previews=2, precision="bf16", **options))
                for client in (plain, shared)
            )
            assert [answer.image for answer in got] == [
                answer.image for answer in plain_answers
            ] and len(got) == 3
        assert len(regions(url)) == 2, "one served twice"


def test_many_at_once_get_their_own(url):
    images = [file_of(np.roll(scene(), 16 * turn, 1)) for turn in range(6)]

    async def all_of_them(client):
        async with client:
            return await asyncio.gather(
                *(client.edit_one(image, SENTENCE, seed=3, precision="fp8") for image in images)
            )

    plain_answers, got = (
        asyncio.run(all_of_them(AsyncRetouch(url, shared_memory=shared)))
        for shared in (False, True)
    )
    assert [answer.image for answer in got] == [answer.image for answer in plain_answers]
    assert len({answer.image for answer in got}) == len(images)


def test_after_edits_that_were_left(url, photo):
    with Retouch(url) as plain, Retouch(url, shared_memory=True) as shared:
        for _ in range(3):
            answers = shared.edit(photo, SENTENCE, steps=50, previews=8, region=b"full")
            next(answers)
            answers.close()
        with pytest.raises(RequestError, match="IMAGE"):
            shared.edit_one(b"no image", SENTENCE)
        assert (
            shared.edit_one(photo, SENTENCE, seed=1).image
            == plain.edit_one(photo, SENTENCE, seed=1).image
        )


def test_a_task_that_is_cancelled_leaves_nothing(url, photo):
    async def leave():
        async with AsyncRetouch(url, shared_memory=True) as client:
            tasks = [
                asyncio.create_task(client.edit_one(photo, SENTENCE, steps=50, region=b"full"))
                for _ in range(4)
            ]
            await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks)
            return await client.edit_one(photo, SENTENCE, seed=2)

    assert asyncio.run(leave()).final


def test_a_server_that_forgot_is_shown_again(url, photo):
    """As one that was started anew."""
    with Retouch(url, shared_memory=True) as client:
        client.edit_one(photo, SENTENCE)
        with grpc.InferenceServerClient(url) as triton:
            until(lambda: forgets(triton, url), "the server still uses it")
        assert client.edit_one(photo, SENTENCE).final


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
def test_without_a_server(photo, kind):
    url = f"127.0.0.1:{free_port()}"
    retries = Retries(attempts=1)

    async def ask():
        async with AsyncRetouch(url, shared_memory=True, retries=retries) as client:
            await client.edit_one(photo, SENTENCE)

    with pytest.raises(RequestError, match="no server answers") as raised:
        if kind == "asyncio":
            asyncio.run(ask())
        else:
            Retouch(url, shared_memory=True, retries=retries).edit_one(photo, SENTENCE)
    assert raised.value.code == "UNAVAILABLE"
