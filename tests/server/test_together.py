"""Edits beside each other: the same seed gives the same bytes, and one that is left stops."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc as grpc

from counts import settled
from pictures import file_of, scene
from retouch.api.request import EditRequest
from retouch.client import Retouch, inputs_of
from retouch.imaging import images
from retouch.launcher.server import HOST

PHOTO = file_of(scene())


def image_of(
    client, seed, photo=PHOTO, sentence="make the red circle blue", precision="bf16", **options
):
    # by its name: under load `auto` may take another lane, whose bytes are others
    *_, answer = client.edit(photo, sentence, seed=seed, precision=precision, **options)
    return answer.image


def test_the_same_seed_gives_the_same_image(client):
    assert image_of(client, 11) == image_of(client, 11)
    # a fresh region, so that the seed matters
    assert image_of(client, 11, region=b"full") != image_of(client, 12, region=b"full")


def test_alone_or_among_seven_others(client):
    alone = image_of(client, 11)
    others = [
        (PHOTO, "remove the blue square"),
        (PHOTO, "make the red circle blue"),
        (PHOTO, "make the blue square green and remove the red circle"),
        (file_of(scene(160, 96)), "make the red circle yellow"),
        (file_of(scene(96, 160)), "remove the red circle"),
        (file_of(scene()[::-1].copy()), "make the background white"),
        (PHOTO, "add a green star at the top right"),
    ]
    for _ in range(3):
        with ThreadPoolExecutor(8) as threads:
            noise = [
                threads.submit(image_of, client, seed, *other) for seed, other in enumerate(others)
            ]
            among = threads.submit(image_of, client, 11)
            assert among.result() == alone
            assert all(task.result() for task in noise)


LONG = {"steps": 50, "previews": 8, "region": b"full", "precision": "bf16"}


@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
def test_a_client_that_leaves_frees_its_slot(server, http):
    """Between previews: it is counted as cancelled, most of its steps are not taken, and nothing
    runs on."""
    client = Retouch(f"{HOST}:{server.http if http else server.grpc}", http)
    before = settled(server)
    for _ in range(4):
        answers = client.edit(PHOTO, "make the red circle blue", **LONG)
        next(answers)
        answers.close()
    after = settled(server)
    assert (
        after["retouch_denoiser_cancelled_total"] - before["retouch_denoiser_cancelled_total"] == 4
    )
    assert (
        after["retouch_denoiser_steps_cancelled_total"]
        - before["retouch_denoiser_steps_cancelled_total"]
        > 4 * 10
    )
    assert after["retouch_denoiser_running"] == 0


def test_a_client_that_leaves_in_the_parser_is_not_denoised(server, client):
    """Before the first answer, with an image that nobody remembers."""
    before = settled(server)
    pixels = scene().copy()
    for number in range(6):
        pixels[0, 0] = number + 100
        request = EditRequest(file_of(pixels), "make the red circle blue", **LONG)
        stream = grpc.InferenceServerClient(f"{HOST}:{server.grpc}")
        stream.start_stream(lambda result, error: None)
        stream.async_stream_infer("edit", inputs_of(request, grpc))
        time.sleep(0.002 * number)
        stream.stop_stream(cancel_requests=True)
        stream.close()
    after = settled(server)
    taken = (
        after["retouch_denoiser_stepped_edits_total"]
        - before["retouch_denoiser_stepped_edits_total"]
    )
    assert taken < 6 * 50 / 2, "edits were denoised that nobody waited for"
    assert after["retouch_denoiser_running"] == after["retouch_denoiser_waiting"] == 0
    assert after["retouch_denoiser_answered_total"] == before["retouch_denoiser_answered_total"]
    assert image_of(client, 11)


def test_a_priority_goes_first(server):
    """Among edits that the denoiser has at once: those of 50 steps that came first end after the
    urgent one."""

    def ended(priority):
        with Retouch(f"{HOST}:{server.grpc}") as own:
            *_, answer = own.edit(
                PHOTO, "make the red circle blue", priority=priority, **(LONG | {"previews": 0})
            )
            return time.monotonic(), answer.info.milliseconds["denoiser"]

    def overtakes():
        with ThreadPoolExecutor(4) as threads:
            others = [threads.submit(ended, 0) for _ in range(3)]
            time.sleep(0.15)
            urgent = threads.submit(ended, 1).result()
            return all(urgent[i] < max(other.result()[i] for other in others) for i in (0, 1))

    assert any(overtakes() for _ in range(4)), (
        "a busy machine may bring it to the denoiser too late, but not each time"
    )


def test_a_step_cache_spares_steps_and_says_how_many(client):
    whole = {"steps": 24, "region": b"full", "precision": "bf16", "seed": 3}
    *_, exact = client.edit(PHOTO, "make the red circle blue", **whole)
    *_, near = client.edit(PHOTO, "make the red circle blue", step_cache=0.05, **whole)
    assert exact.info.steps_reused == 0 < near.info.steps_reused < 22
    away = np.abs(images.decode(exact.image).astype(float) - images.decode(near.image))
    assert away.mean() < 3, "a picture like the exact one"
