"""The three doors, over gRPC and HTTP, against a running server."""

from __future__ import annotations

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http

from pictures import file_of, mask_file, scene
from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.client import Retouch, answer_of, inputs_of
from retouch.imaging import images
from retouch.launcher.server import REPOSITORY, ROOT
from retouch.offline.plain_loop import PlainLoop
from training.render import render
from training.scenes import held_out

SENTENCE = "make the red circle blue"


def last(answers):
    *_, answer = answers
    return answer


@pytest.fixture(scope="module")
def result(client, photo):
    return last(client.edit(photo, SENTENCE, seed=7))


def test_previews_then_the_result(client, photo):
    *previews, final = client.edit(photo, SENTENCE, seed=7, steps=8, previews=3)
    assert [answer.info.kind for answer in previews] == ["preview"] * 3
    assert final.final and final.step == (8, 8)
    steps = [answer.step[0] for answer in (*previews, final)]
    assert steps == sorted(set(steps)) and all(answer.step[1] == 8 for answer in previews)
    assert all(min(images.decode(answer.image).shape[:2]) >= 16 for answer in previews)


def test_the_result_is_that_of_the_stages_without_a_server(photo, result):
    request = EditRequest(photo, SENTENCE, seed=7, precision="bf16")
    alone = PlainLoop(REPOSITORY, "bf16").edit(request)
    np.testing.assert_array_equal(images.decode(result.image), images.decode(alone))


def test_previews_do_not_change_the_result(client, photo, result):
    assert last(client.edit(photo, SENTENCE, seed=7, previews=8)).image == result.image


@pytest.mark.parametrize("lane", ("fp8", "fp4"))
def test_the_narrow_lanes_serve(client, lane):
    sample = (ROOT / "checkpoints" / "photo" / "shapes.png").read_bytes()
    *_, wide = client.edit(sample, "make the red circle blue", seed=3, precision="bf16")
    *_, narrow = client.edit(sample, "make the red circle blue", seed=3, precision=lane)
    assert (wide.info.lane, narrow.info.lane) == ("bf16", lane)
    a, b = (images.decode(answer.image).astype(int) for answer in (wide, narrow))
    assert 0 < np.abs(a - b).mean() < 2, "other arithmetic, the same picture"


def test_the_information_beside_the_image(result):
    info = result.info
    assert (info.seed, info.lane, info.kind) == (7, "bf16", "final")
    assert info.steps == result.step[1] > 0
    assert 0 < info.region.share <= 1 and all(0 <= side <= 1 for side in info.region.box)
    stages = {
        "preprocess",
        "vl_parser",
        "vae_encoder",
        "reference",
        "connector",
        "denoiser",
        "vae_decoder",
        "postprocess",
    }
    assert stages | {"total"} == set(info.milliseconds) and all(
        spent > 0 for spent in info.milliseconds.values()
    )
    assert "retouch" in info.versions and "checkpoint" in info.versions
    assert all(operation.op for operation in info.operations)


def test_http_stream_gives_the_same(server, photo, result):
    over_http = Retouch(f"127.0.0.1:{server.http}", http=True)
    *previews, final = over_http.edit(photo, SENTENCE, seed=7, previews=2)
    assert len(previews) == 2 and final.image == result.image


@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
def test_the_ensemble_gives_the_same(server, photo, result, http):
    client = Retouch(
        f"127.0.0.1:{server.http if http else server.grpc}", http=http, model="edit_ensemble"
    )
    *previews, final = client.edit(photo, SENTENCE, seed=7, previews=2)
    assert len(previews) == 2 and final.image == result.image
    assert (
        final.info.operations == result.info.operations and final.info.region == result.info.region
    )


@pytest.mark.parametrize("protocol", [tritonclient.grpc, tritonclient.http], ids=["grpc", "http"])
def test_the_door_with_exactly_one_response(server, photo, result, protocol):
    port = server.grpc if protocol is tritonclient.grpc else server.http
    request = EditRequest(photo, SENTENCE, seed=7, previews=4)
    client = protocol.InferenceServerClient(f"127.0.0.1:{port}")
    answer = answer_of(client.infer("edit_sync", inputs_of(request, protocol)))
    client.close()
    assert answer.final and answer.image == result.image


@pytest.mark.parametrize("format", ["png", "jpeg", "jpeg;quality=50", "webp"])
def test_formats(client, photo, format):
    image = last(client.edit(photo, SENTENCE, format=format)).image
    magic = {"png": b"\x89PNG", "jpeg": b"\xff\xd8\xff", "webp": b"RIFF"}[format.split(";")[0]]
    assert image.startswith(magic)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_other_files_come_in(client, source, kind):
    assert last(client.edit(file_of(source, kind), SENTENCE)).final


def test_outside_the_region_the_pixels_are_the_sources(client, photo, source, result):
    edited = images.decode(result.image)
    left, top, right, bottom = (round(128 * side) for side in result.info.region.box)
    outside = np.ones((128, 128), bool)
    outside[top:bottom, left:right] = False
    np.testing.assert_array_equal(edited[outside], source[outside])


def test_a_mask_holds_to_the_pixel(client, photo, source):
    mask = mask_file(128, 128, (10, 12, 60, 61))
    answer = last(client.edit(photo, SENTENCE, region=mask))
    inside = images.decode_mask(mask, 128, 128)
    np.testing.assert_array_equal(images.decode(answer.image)[~inside], source[~inside])
    assert answer.info.region.box == [0.0, 0.0, 0.5, 0.5]


def test_full_is_the_whole_image(client, photo):
    assert last(client.edit(photo, SENTENCE, region=b"full")).info.region.share == 1


def test_a_region_is_looked_for(client):
    """Without the parser; what lies outside of its box is the source image's."""
    pair = next(pair for pair in held_out(20) if pair.kind == "remove")
    pixels = render(pair.source).pixels
    answer = last(client.edit(file_of(pixels), pair.instruction, seed=3, region=b"find", align=1))
    assert 0 < answer.info.region.share < 1
    height, width = pixels.shape[:2]
    left, top, right, bottom = answer.info.region.box
    outside = np.ones((height, width), bool)
    rows = slice(round(height * top), round(height * bottom))
    outside[rows, round(width * left) : round(width * right)] = False
    edited = images.decode(answer.image)
    np.testing.assert_array_equal(edited[outside], pixels[outside])
    assert (edited != pixels).any()
    assert answer.info.drift is not None and not answer.info.drift.undone


@pytest.mark.parametrize("size", [(161, 97), (300, 500), (64, 64)])
def test_other_sizes_come_back_in_their_own(client, size):
    pixels = scene(*size)
    mask = mask_file(*size, (0, 0, size[0] // 2, size[1] // 2))
    answer = last(client.edit(file_of(pixels), SENTENCE, region=mask))
    edited = images.decode(answer.image)
    assert edited.shape == pixels.shape
    np.testing.assert_array_equal(edited[size[1] // 2 :], pixels[size[1] // 2 :])


def test_a_deadline_is_kept(client, photo):
    with pytest.raises(RequestError, match="DEADLINE_MS 1 has passed"):
        list(client.edit(photo, SENTENCE, deadline_ms=1, steps=50, precision="bf16"))


def test_a_deadline_that_the_denoiser_refuses_is_told_in_its_words(client, photo):
    """By then the other stages have taken what there was; a region that is known leaves the
    estimate to the loop."""
    list(client.edit(photo, SENTENCE, precision="bf16", steps=50, region=b"full"))
    with pytest.raises(RequestError, match="DEADLINE_MS"):
        list(
            client.edit(
                photo, SENTENCE, deadline_ms=150, steps=50, region=b"full", precision="bf16"
            )
        )


def test_a_deadline_that_cannot_be_met_is_refused_at_once_with_the_estimate(client, photo):
    list(client.edit(photo, SENTENCE, precision="bf16"))  # so that the speed of a lane is known
    with pytest.raises(
        RequestError, match=r"DEADLINE_MS 60 cannot be met: .* needs about \d+ ms; allow more time"
    ):
        list(client.edit(photo, SENTENCE, deadline_ms=60, steps=50))
