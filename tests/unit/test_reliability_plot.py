"""The plot of the parser's confidence."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from training.reliability_plot import LARGEST, LEFT, SIDE, TOP, place, reliability_plot

NAMESPACE = "{http://www.w3.org/2000/svg}"
BINS = [
    {"count": 25, "confidence": 0.5, "right": 0.25},
    {"count": 100, "confidence": 1.0, "right": 1.0},
]


def drawn(bins, tag):
    return ElementTree.fromstring(reliability_plot(bins)).findall(NAMESPACE + tag)


def test_shares_grow_to_the_right_and_upwards():
    assert place(0, 0) == (LEFT, TOP + SIDE)
    assert place(1, 1) == (LEFT + SIDE, TOP)
    assert place(0.5, 0.25) == (LEFT + SIDE / 2, TOP + SIDE * 0.75)


def test_every_bin_is_a_circle_at_its_place():
    circles = drawn(BINS, "circle")
    for circle, row in zip(circles, BINS, strict=True):
        x, y = place(row["confidence"], row["right"])
        assert float(circle.get("cx")) == pytest.approx(x, abs=0.05)
        assert float(circle.get("cy")) == pytest.approx(y, abs=0.05)
    radii = [float(circle.get("r")) for circle in circles]
    assert radii == [LARGEST / 2, LARGEST]  # areas are as the counts


def test_counts_and_axes_are_written():
    texts = [text.text for text in drawn(BINS, "text")]
    assert {"25", "100", "0%", "100%", "confidence"} <= set(texts)
    assert any("share that was right" in text for text in texts)


def test_no_bin_is_an_empty_plot():
    assert drawn([], "circle") == []
    assert len(drawn([], "line")) == len(drawn(BINS, "line")) - 1


def test_all_lies_in_the_picture():
    root = ElementTree.fromstring(reliability_plot(BINS))
    width, height = (float(root.get(side)) for side in ("width", "height"))
    for text in root.findall(NAMESPACE + "text"):
        assert 0 <= float(text.get("x")) <= width - 20 and 0 < float(text.get("y")) < height
