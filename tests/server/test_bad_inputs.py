"""Bad input gets one clear sentence, and the server goes on."""

from __future__ import annotations

import math
import queue

import numpy as np
import pytest
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from pictures import file_of, huge_png, mask_file, scene
from processes import until
from retouch.api.fields import REQUIRED
from retouch.api.limits import MAX_PIXELS, MAX_STEPS
from retouch.api.request import EditRequest
from retouch.api.triton_errors import read_error
from retouch.client import answer_of, inputs_of

PHOTO = file_of(scene())
DOORS = ("edit", "edit_sync", "edit_ensemble")

BAD = {
    "empty image": ({"image": b""}, "IMAGE is empty"),
    "truncated png": ({"image": PHOTO[:400]}, "truncated"),
    "truncated jpeg": ({"image": file_of(scene(), "JPEG")[:1500]}, "truncated"),
    "corrupt image": ({"image": PHOTO[:60] + bytes(500)}, "damaged"),
    "no image": ({"image": b"\x00\x01\x02" * 50}, "not a picture file"),
    "a bomb": ({"image": huge_png()}, str(MAX_PIXELS)),
    "a tga": ({"image": file_of(scene(), "TGA")}, "not a picture file"),
    "no instruction": ({"instruction": ""}, "1 to 2000"),
    "blank instruction": ({"instruction": " \n "}, "1 to 2000"),
    "20 KB instruction": ({"instruction": "red " * 5000}, "at most 2000"),
    "steps -1": ({"steps": -1}, "from 0 to 50"),
    "steps 10^9": ({"steps": 10**9}, "from 0 to 50"),
    "nan guidance": (
        {"guidance": math.nan},
        "must be a finite number from 0 to 10 (0 is the default)",
    ),
    "infinite guidance": (
        {"guidance": math.inf},
        "must be a finite number from 0 to 10 (0 is the default)",
    ),
    "negative seed": ({"seed": -1}, "from 0 to"),
    "nine previews": ({"previews": 9}, "from 0 to 8"),
    "unknown precision": ({"precision": "int3"}, "bf16, fp8 or fp4"),
    "mask of another size": (
        {"region": mask_file(64, 32, (0, 0, 8, 8))},
        "must be the image's 128 x 128",
    ),
    "mask that is no image": ({"region": b"left half"}, "REGION mask is not a"),
    "black mask": ({"region": mask_file(128, 128, (0, 0, 0, 0))}, "black all over"),
    "unknown format": ({"format": "gif"}, "png, jpeg or webp"),
    "quality 0": ({"format": "jpeg;quality=0"}, "from 1 to 100"),
    "negative deadline": ({"deadline_ms": -1}, "from 0 to"),
}


def refusal(server, model, inputs):
    """The message of the first answer, over a stream, as every door has one."""
    answers = queue.Queue()
    with grpc.InferenceServerClient(f"127.0.0.1:{server.grpc}") as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer(model, inputs)
        result, error = answers.get(timeout=60)
        client.stop_stream()
    assert result is None and error is not None
    return error.message()


@pytest.fixture(autouse=True, scope="module")
def unharmed(server, client):
    yield
    assert server.is_ready()
    *_, answer = client.edit(PHOTO, "make the red circle blue", seed=1)
    assert answer.final


@pytest.mark.parametrize("model", DOORS)
@pytest.mark.parametrize("case", BAD)
def test_values_out_of_their_limits(server, model, case):
    changes, part = BAD[case]
    request = EditRequest(**{"image": PHOTO, "instruction": "make the red circle blue", **changes})
    message = refusal(server, model, inputs_of(request, grpc))
    assert part in message
    error = read_error(message)
    assert (error.code, error.field) == ("INVALID_ARGUMENT", next(iter(changes)).upper())
    assert "Traceback" not in message and "/" not in message.replace("and/or", "")


@pytest.mark.parametrize("model", DOORS)
def test_an_instruction_of_other_bytes_than_utf8(server, model):
    inputs = inputs_of(EditRequest(PHOTO, "x"), grpc)
    inputs[1].set_data_from_numpy(np.array([[b"make it \xff\xfe"]], object))
    assert "INSTRUCTION is not valid UTF-8" in refusal(server, model, inputs)


def test_steps_0_is_the_default(client):
    *_, answer = client.edit(PHOTO, "make the red circle blue", steps=0)
    assert answer.final and 1 <= answer.step[1] <= MAX_STEPS


@pytest.mark.parametrize("model", DOORS)
@pytest.mark.parametrize("missing", REQUIRED)
def test_missing_inputs(server, model, missing):
    inputs = [
        tensor for tensor in inputs_of(EditRequest(PHOTO, "x"), grpc) if tensor.name() != missing
    ]
    message = refusal(server, model, inputs)
    assert missing in message and read_error(message).field == missing


@pytest.mark.parametrize("model", DOORS)
def test_extra_inputs(server, model):
    extra = grpc.InferInput("COLOUR", [1, 1], "INT32")
    extra.set_data_from_numpy(np.zeros((1, 1), np.int32))
    message = refusal(server, model, [*inputs_of(EditRequest(PHOTO, "x"), grpc), extra])
    assert "COLOUR" in message or "expected 10 inputs but got 11" in message


@pytest.mark.parametrize("model", DOORS)
def test_wrong_types(server, model):
    inputs = inputs_of(EditRequest(PHOTO, "x"), grpc)
    steps = grpc.InferInput("STEPS", [1, 1], "FP32")
    steps.set_data_from_numpy(np.ones((1, 1), np.float32))
    inputs[3] = steps
    message = refusal(server, model, inputs)
    assert "STEPS" in message and "INT32" in message and read_error(message).field == "STEPS"


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (1,), (1, 1, 1), (1, 0)])
@pytest.mark.parametrize("model", DOORS)
def test_wrong_shapes(server, model, shape):
    inputs = inputs_of(EditRequest(PHOTO, "x"), grpc)
    seed = grpc.InferInput("SEED", shape, "INT64")
    seed.set_data_from_numpy(np.ones(shape, np.int64))
    inputs[2] = seed
    message = refusal(server, model, inputs)
    assert message and read_error(message).code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("model", DOORS)
def test_a_sentence_is_read_before_the_part_for_machines(server, model):
    message = refusal(server, model, inputs_of(EditRequest(PHOTO, "x", steps=99), grpc))
    assert message.endswith(
        "STEPS is 99; it must be from 0 to 50 (0 is the default) [code=INVALID_ARGUMENT "
        "field=STEPS]"
    )


def test_unary_calls_are_refused_as_clearly(server):
    request = EditRequest(PHOTO, "x", steps=10**9)
    with grpc.InferenceServerClient(f"127.0.0.1:{server.grpc}") as client:
        with pytest.raises(InferenceServerException, match="from 0 to 50") as refused:
            client.infer("edit_sync", inputs_of(request, grpc))
        assert "INVALID_ARGUMENT" in refused.value.status()
        with pytest.raises(InferenceServerException, match="truncated") as refused:
            client.infer("edit_sync", inputs_of(EditRequest(PHOTO[:400], "x"), grpc))
        assert "INVALID_ARGUMENT" in refused.value.status()
        good = client.infer(
            "edit_sync", inputs_of(EditRequest(PHOTO, "make the red circle blue"), grpc)
        )
    assert answer_of(good).final


def test_a_failure_of_a_stage_is_in_the_log_by_its_request(server):
    """Latents of no checkpoint, straight to the decoder: the client learns no more than that."""
    latents = grpc.InferInput("LATENTS", [1, 99, 1, 1], "FP32")
    latents.set_data_from_numpy(np.zeros((1, 99, 1, 1), np.float32))
    with (
        grpc.InferenceServerClient(f"127.0.0.1:{server.grpc}") as client,
        pytest.raises(InferenceServerException) as refused,
    ):
        client.infer("vae_decoder", [latents], request_id="broken-1")
    error = read_error(refused.value.message())
    assert (error.code, error.message) == (
        "INTERNAL",
        "the edit failed inside the server; its log says why",
    )
    entry = r"[request id: broken-1] an edit failed\nTraceback"  # Triton escapes ends of lines
    # a stub's lines come some time later
    until(lambda: entry in server.log.read_text(), "the log has no line of the failure")
