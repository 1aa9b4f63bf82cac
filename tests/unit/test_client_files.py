"""What the Python client takes as an image, a mask or a reference."""

from __future__ import annotations

import array
import asyncio
import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from pictures import file_of, mask_file, scene
from retouch.api.errors import RequestError
from retouch.api.request import EditRequest, as_base64, request_from_values, request_to_values
from retouch.client import codec
from retouch.client.files import edit_request, edit_request_beside, encoded
from retouch.imaging import images

FILE = file_of(scene())
SENTENCE = "make the red circle blue"
KINDS = ("bytes", "bytearray", "memoryview", "strided", "path", "open file", "BytesIO")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(FILE)
    return path


def of_kind(kind, path):
    if kind == "strided":
        return memoryview(bytes(byte for pair in zip(FILE, FILE) for byte in pair))[::2]
    makers = {
        "bytes": bytes,
        "bytearray": bytearray,
        "memoryview": memoryview,
        "BytesIO": io.BytesIO,
    }
    if kind in makers:
        return makers[kind](FILE)
    return path if kind == "path" else path.open("rb")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_file(kind, path):
    request = edit_request(
        of_kind(kind, path), SENTENCE, region=of_kind(kind, path), references=[of_kind(kind, path)]
    )
    assert (request.image, request.region, request.references) == (FILE, FILE, (FILE,))
    beside = asyncio.run(
        edit_request_beside(
            of_kind(kind, path), SENTENCE, region=of_kind(kind, path), seed=request.seed
        )
    )
    assert (beside.image, beside.region, beside.seed) == (FILE, FILE, request.seed)


def test_a_pil_image_keeps_its_pixels():
    assert (images.decode(encoded("image", Image.fromarray(scene()))) == scene()).all()


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "PA", "I;16"],
)
def test_a_pil_image_of_any_mode_becomes_a_file(mode):
    image = (
        Image.new(mode, (40, 30))
        if mode in ("LAB", "I;16", "PA")
        else Image.fromarray(scene(40, 40)).convert(mode)
    )
    with Image.open(io.BytesIO(encoded("image", image))) as read:
        assert (read.format, read.size) == ("PNG", image.size)


def test_a_pil_image_is_sent_upright_like_its_file():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    turned = file_of(scene(64, 32), "JPEG", exif=exif, quality=95)
    sent = images.decode(encoded("image", Image.open(io.BytesIO(turned))))
    assert sent.shape == (64, 32, 3) and (sent == images.decode(turned)).all()


def test_masks_by_name():
    assert edit_request(FILE, SENTENCE, region="full").region == b"full"
    assert edit_request(FILE, SENTENCE, region=b"auto").region == b"auto"
    mask = Image.open(io.BytesIO(mask_file(128, 128, (0, 0, 64, 64))))
    assert (
        images.decode_mask(edit_request(FILE, SENTENCE, region=mask).region, 128, 128).mean()
        == 0.25
    )


WRONG = [
    None,
    7,
    1.5,
    "photo.png",
    ["photo.png"],
    np.zeros((8, 8, 3), np.uint8),
    array.array("B", FILE),
    io.StringIO("text"),
    Image.new("F", (20, 20)),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: type(wrong).__name__)
@pytest.mark.parametrize("name", ["image", "region", "references"])
def test_anything_else_is_a_type_error_that_says_what_is_allowed(name, wrong):
    options = {"image": FILE, name: [wrong] if name == "references" else wrong}
    with pytest.raises(TypeError, match=f"{name} .*(bytes|rb|RGB)"):
        edit_request(instruction=SENTENCE, **options)
    with pytest.raises(TypeError):
        asyncio.run(edit_request_beside(instruction=SENTENCE, **options))


@pytest.mark.parametrize(
    "one", [FILE, io.BytesIO(FILE), Image.new("RGB", (20, 20)), "photo.png", 3]
)
def test_one_reference_is_no_list(one):
    with pytest.raises(TypeError, match="references must be a list of images"):
        edit_request(FILE, SENTENCE, references=one)


def test_a_file_read_to_its_end_is_an_empty_image_or_mask():
    spent = io.BytesIO(FILE)
    spent.read()
    with pytest.raises(RequestError, match="IMAGE is empty"):
        edit_request(spent, SENTENCE)
    with pytest.raises(RequestError, match="REGION is empty"):
        edit_request(FILE, SENTENCE, region=spent)


TEXT = base64.b64encode(FILE)


@pytest.mark.parametrize(
    "text", [TEXT, base64.encodebytes(FILE), TEXT + b"\n", b"data:image/png;base64," + TEXT]
)
def test_base64_text_is_not_encoded_twice(text):
    request = EditRequest(text, SENTENCE, region=text, references=(text, FILE))
    body = json.loads(codec.body_of(request))
    assert {body["IMAGE"], body["REGION"]} == {text.decode().replace("\n", "")}
    assert [
        images.decode(reference).shape
        for reference in request_from_values(request_to_values(request)).references
    ] == [scene().shape] * 2
    assert images.decode(body["IMAGE"].encode()).shape == scene().shape


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_file_is_encoded_once(format):
    file = file_of(scene(), format)
    assert base64.b64decode(as_base64(file), validate=True) == file
