"""The shift of an edit, the change outside of its region, and how ALIGN undoes the shift."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pictures import file_of, mask_file, scene
from retouch.api.request import EditRequest
from retouch.api.response import Drift, EditInfo
from retouch.families.registry import family_of
from retouch.imaging.drift import SIDE, Compared, fit_back, is_worth_undoing, measure
from retouch.routing.router import Choice
from retouch.serving.postprocess import postprocess
from retouch.serving.preprocess import preprocess

FAMILY = family_of("flux-kontext", {"scheduler": {}, "cell": 16, "guidance_embeds": False})
SHIFTS = ((0.0, 0.0), (0.4, 0.0), (-1.5, 0.75), (6.0, -3.0), (11.3, 8.6))


def natural(size, seed=0):
    """Random pixels with the spectrum of photos, uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(side) for side in size), indexing="ij"))
    frequency[0, 0] = 1
    noise = np.fft.fft2(rng.standard_normal((3, *size)))
    pixels = np.fft.ifft2(noise / frequency).real.transpose(1, 2, 0)
    pixels = 128 + 45 * (pixels - pixels.mean()) / pixels.std()
    return np.ascontiguousarray(pixels.clip(0, 255).astype(np.uint8))


def moved(pixels, shift):
    """The pixels, moved to the right and down."""
    return fit_back(pixels, (-shift[0], -shift[1]), pixels.shape[:2])


def noisy(pixels):
    noise = np.random.default_rng(1).normal(0, 4, pixels.shape)
    return (pixels + noise).clip(0, 255).astype(np.uint8)


def masked(size, share):
    """The left `share` of a picture."""
    mask = np.zeros(size, bool)
    mask[:, : round(share * size[1])] = True
    return mask


@pytest.mark.parametrize("shift", SHIFTS, ids=str)
@pytest.mark.parametrize("size", ((192, 256), (300, 500), (1024, 768)), ids=str)
def test_a_shift_is_measured(size, shift):
    """Below a pixel, under noise and with a part that is another picture."""
    source = natural(size)
    edited = noisy(moved(source, shift))
    part = np.s_[: size[0] // 4, : size[1] // 4]
    edited[part] = natural(size, 5)[part]
    drift = measure(Compared.of(source, edited, masked(size, 1)))
    scale = max(1, max(size) / SIDE)
    np.testing.assert_allclose(drift.shift, shift, atol=0.1 * scale)
    assert drift.change is None


@pytest.mark.parametrize("share", (0.25, 0.5))
def test_only_the_outside_counts_where_there_is_a_region(share):
    """The region moves the other way."""
    source = natural((256, 256))
    region = masked((256, 256), share)
    inside = moved(source, (-5.0, -4.0))
    edited = np.where(region[:, :, None], inside, moved(source, (2.0, 1.0)))
    drift = measure(Compared.of(source, edited, region))
    np.testing.assert_allclose(drift.shift, (2.0, 1.0), atol=0.1)
    assert drift.change > 1


def test_the_change_is_that_of_the_outside():
    source = np.full((64, 64, 3), 100, np.uint8)
    region = masked((64, 64), 0.5)
    edited = source + np.where(region, 150, 3).astype(np.uint8)[:, :, None]
    assert measure(Compared.of(source, edited, region)) == Drift(None, 3.0)


@pytest.mark.parametrize("size", ((32, 32), (64, 64), (128, 128), (512, 512)), ids=str)
def test_of_other_pictures_nothing_is_said(size):
    for seed in range(5):
        compared = Compared.of(natural(size, seed), natural(size, seed + 9), masked(size, 1))
        drift = measure(compared)
        assert drift.shift is None and not is_worth_undoing(drift, compared)


def test_pictures_without_content_or_size():
    flat = np.full((128, 128, 3), 90, np.uint8)
    assert measure(Compared.of(flat, flat, masked((128, 128), 1))) == Drift(None, None)
    assert measure(Compared.of(flat[:16], flat[:16], masked((16, 128), 1))).shift is None


def answered(source, edited, **options):
    """The pixels of the answer when the model decodes `edited`, and its INFO."""
    request = EditRequest(file_of(source), "x", **options)
    prepared = preprocess(request, Choice("bf16", ""), FAMILY)
    cells = prepared.mask.astype(bool)
    answer = postprocess(prepared.source, cells, edited, (1, 1), EditInfo("", 0, "bf16"))
    return np.asarray(Image.open(io.BytesIO(answer.image))), answer.info


@pytest.mark.parametrize("size", ((1024, 1024), (512, 512), (1600, 1600)), ids=str)
def test_align_undoes_a_shift(size):
    """Also of photos larger and smaller than the edit, whose pixels the shift counts."""
    source = natural(size)
    fitted = np.asarray(Image.fromarray(source).resize((1024, 1024), Image.Resampling.LANCZOS))
    edited = moved(fitted, (6.0, -4.5))
    unmoved, _ = answered(source, fitted, region=b"full")
    plain, info = answered(source, edited, region=b"full")
    aligned, aligned_info = answered(source, edited, region=b"full", align=1)
    expected = np.array((6.0, -4.5)) * size[0] / 1024
    np.testing.assert_allclose(info.drift.shift, expected, atol=0.3 * size[0] / 1024)
    assert not info.drift.undone and aligned_info.drift.undone
    assert aligned_info.drift.shift == info.drift.shift
    inner = slice(20, -20)
    error = [
        np.abs(pixels[inner, inner].astype(int) - unmoved[inner, inner]).mean()
        for pixels in (plain, aligned)
    ]
    assert error[1] < 0.25 * error[0]
    text = aligned_info.to_json()
    assert EditInfo.from_json(text).to_json() == text


def test_align_touches_nothing_where_nothing_has_moved():
    """Neither an edit in its place nor one that is another picture."""
    source = natural((1024, 1024))
    for edited in (noisy(source), natural((1024, 1024), 7)):
        plain, _ = answered(source, edited, region=b"full")
        aligned, info = answered(source, edited, region=b"full", align=1)
        np.testing.assert_array_equal(aligned, plain)
        assert not info.drift.undone


def test_outside_of_a_mask_align_changes_no_bit():
    source = scene()
    mask = mask_file(128, 128, (10, 10, 60, 70))
    picture = moved(natural((1024, 1024)), (9.0, 9.0))
    answer, info = answered(source, picture, region=mask, align=1)
    outside = np.ones((128, 128), bool)
    outside[10:70, 10:60] = False
    np.testing.assert_array_equal(answer[outside], source[outside])
    assert info.drift.change > 1


def test_a_preview_has_no_drift():
    source = scene()
    prepared = preprocess(EditRequest(file_of(source), "x"), Choice("bf16", ""), FAMILY)
    cells = np.ones(len(prepared.mask), bool)
    answer = postprocess(prepared.source, cells, source, (1, 2), EditInfo("", 0, "bf16"))
    assert answer.info.drift is None
    assert EditInfo.from_json(answer.info.to_json()).drift is None
