"""Pillow's own test pictures: each is decoded as OpenCV decodes it, or refused in one sentence."""

from __future__ import annotations

import contextlib
import io
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import corpus
from retouch.api.errors import Cancelled, RequestError
from retouch.imaging import images
from retouch.imaging.formats import kind_of
from retouch.imaging.photo import Photo

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
FILES = 1000
SECONDS = 20  # a hang guard for one file
# grey levels that a channel of a visible pixel may differ from OpenCV's
BOUNDS = {"PNG": 0, "GIF": 0, "BMP": 0, "TIFF": 1, "WebP": 0, "JPEG": 2, "AVIF": 1}
LEAST = {"PNG": 280, "JPEG": 30, "TIFF": 45, "BMP": 30, "WebP": 8, "AVIF": 8, "GIF": 6}  # compared

# files that OpenCV reads wrongly or not at all, by another file of the same picture
TWINS = {
    "bmp/g/pal8os2.bmp": "bmp/g/pal8.bmp",
    "bmp/q/pal8os2sp.bmp": "bmp/g/pal8.bmp",
    "bmp/q/rgb32h52.bmp": "bmp/g/rgb32.bmp",
    "hopper_lzma.tif": "hopper.tif",
    "tiff_strip_planar_16bit_RGB.tiff": "tiff_16bit_RGB.tiff",
    "tiff_tiled_planar_16bit_RGB.tiff": "tiff_16bit_RGB.tiff",
    "tiff_strip_planar_16bit_RGBa.tiff": "tiff_16bit_RGBa.tiff",
    "tiff_tiled_planar_16bit_RGBa.tiff": "tiff_16bit_RGBa.tiff",
}
# bounds of what OpenCV reads in another way
WIDER = {
    "bmp/g/rgb16.bmp": 7,  # it shifts 5 bits to 8 and leaves the lowest zero
    "bmp/g/rgb16-565.bmp": 7,
    "bmp/g/rgb16-565pal.bmp": 7,
    "pil123p.png": 80,  # gAMA and cHRM
    "pil123rgba.png": 80,
    "hopper.Lab.tif": 50,  # it converts by other white points
}
# it does not divide these pixels by their alpha
PREMULTIPLIED = {"pil136.tiff", "tiff_16bit_RGBa.tiff", "tiff_wrong_bits_per_sample.tiff"}
TURNS = {  # by EXIF's orientation
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, 3),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}
ODD = {
    "multipage-lastframe.tif": "OpenCV reads its palette as grey",
    "mmap_error.bmp": "its header is shorter than it says; OpenCV reads the palette as pixels",
    "apng/syntax_num_frames_invalid.png": "OpenCV shows no frame",
}


@pytest.fixture(scope="module")
def folder() -> Path:
    pictures = corpus.folder()
    if pictures is None:
        pytest.skip("Pillow's source package is not cached, and pip could not fetch it")
    return pictures


@pytest.fixture(scope="module")
def answers(folder) -> dict[str, Photo | RequestError]:
    """What becomes of each file, by its name."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): _answer(file.read_bytes()) for file in files}


def _answer(data: bytes) -> Photo | RequestError:
    try:
        photo = images.decode_photo(data, check=_until(time.monotonic() + SECONDS))
        photo.srgb()
    except RequestError as failure:
        return failure
    return photo


def _until(end: float) -> Callable[[], None]:
    def check():
        if time.monotonic() > end:
            raise Cancelled

    return check


def test_every_file_is_answered_or_refused_in_a_sentence(folder, answers):
    assert len(answers) >= FILES
    refusals = {
        name: str(answer) for name, answer in answers.items() if isinstance(answer, RequestError)
    }
    for name, text in refusals.items():
        assert re.fullmatch(r"IMAGE [^\n]{10,160}", text), f"{name}: {text}"
        assert "/" not in text and "Error" not in text, f"{name}: {text}"


def test_pictures_of_every_kind_are_answered(folder, answers):
    kinds = Counter(
        kind_of((folder / name).read_bytes())
        for name, answer in answers.items()
        if isinstance(answer, Photo)
    )
    assert not {kind: kinds[kind] for kind, least in LEAST.items() if kinds[kind] < least}


def test_pictures_are_as_opencv_decodes_them(folder, answers):
    compared = Counter()
    wrong = {}
    for name, photo in answers.items():
        if not isinstance(photo, Photo) or name in ODD:
            continue
        data = (folder / TWINS.get(name, name)).read_bytes()
        expected = _expected(data, name)
        if expected is None:
            continue
        kind = kind_of(data)
        compared[kind] += 1
        difference = _difference(photo, *expected, name)
        if difference > WIDER.get(name, BOUNDS[kind]):
            wrong[name] = difference
    assert not wrong
    assert not {kind: compared[kind] for kind, least in LEAST.items() if compared[kind] < least}


def _expected(data: bytes, name: str) -> tuple[np.ndarray, np.ndarray | None] | None:
    """RGB uint8 [H, W, 3] and alpha by OpenCV, upright; None where it does not read the file."""
    if TWINS.get(name, "").endswith("_16bit_RGBa.tiff"):
        photo = images.decode_photo(data)
        return photo.pixels, photo.alpha
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        return None
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    alpha = pixels[:, :, 3] if pixels.shape[2] == 4 else None
    pixels = np.broadcast_to(pixels[:, :, :3][:, :, ::-1], (*pixels.shape[:2], 3))
    upright = _turn(data, name)
    return upright(pixels), None if alpha is None else upright(alpha)


def _turn(data: bytes, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """How the pixels are turned upright: by EXIF, and in AVIF by the file's own boxes."""
    boxes = re.search(r"avif/rot(\d)mir(\d)", name)
    if boxes:
        quarters, axis = map(int, boxes.groups())
        return lambda pixels: np.flip(np.rot90(pixels, quarters), axis)
    with contextlib.suppress(OSError):  # Pillow alone opens less than we do
        image = Image.open(io.BytesIO(data))
        if "exif" in image.info:  # XMP and text turn nothing, as in browsers
            return TURNS.get(image.getexif().get(0x0112, 1), np.asarray)
    return np.asarray


def _difference(photo: Photo, pixels: np.ndarray, alpha: np.ndarray | None, name: str) -> int:
    """The largest of a visible pixel's channels and of alpha; 256 for another size."""
    if photo.pixels.shape != pixels.shape:
        return 256
    if name in PREMULTIPLIED:
        shown = pixels.astype(int) + 255 - alpha[:, :, None]
        return int(np.abs(photo.opaque() - shown)[alpha > 0].max()) // 3
    ours = np.full(pixels.shape[:2], 255, np.uint8) if photo.alpha is None else photo.alpha
    colours = np.abs(photo.pixels.astype(int) - pixels)[ours > 0]
    # of a colour that stands for transparency it knows in grey files nothing
    alphas = 0 if alpha is None else np.abs(alpha.astype(int) - ours).max()
    return int(max(colours.max(initial=0), alphas))
