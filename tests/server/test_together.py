"""Edits beside each other: the same seed gives the same bytes, and one that is left stops."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psutil
from pictures import file_of, scene

PHOTO = file_of(scene())


def image_of(client, seed, photo=PHOTO, sentence="make the red circle blue", precision="bf16", **knobs):
    # by its name: under load `auto` may take another lane, whose bytes are others
    *_, answer = client.edit(photo, sentence, seed=seed, precision=precision, **knobs)
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
            noise = [threads.submit(image_of, client, seed, *other) for seed, other in enumerate(others)]
            among = threads.submit(image_of, client, 11)
            assert among.result() == alone
            assert all(each.result() for each in noise)


def cpu_seconds(server):
    tree = [psutil.Process(server.process.pid)]
    tree += tree[0].children(recursive=True)
    return sum(sum(process.cpu_times()[:2]) for process in tree)


def test_a_client_that_leaves_frees_the_denoiser(server, client):
    left = [client.edit(PHOTO, "make the red circle blue", steps=50, previews=8, region=b"full") for _ in range(4)]
    for answers in left:
        next(answers)
    for answers in left:
        answers.close()
    time.sleep(0.5)
    before = cpu_seconds(server)
    time.sleep(1)
    assert cpu_seconds(server) - before < 0.3, "the server still computes for nobody"
