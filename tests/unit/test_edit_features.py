"""Statistics of a picture and its edit: each moves with the fault that it is there for."""

from __future__ import annotations

import pytest
import torch

from retouch.networks import edit_features
from retouch.networks.evaluator import PARTS, Evaluator

SIZE = (96, 160)
WHOLE = torch.ones(1, 1, 6, 10)


@pytest.fixture()
def photo():
    torch.manual_seed(0)
    coarse = torch.rand(1, 3, 6, 10) * 255
    return torch.nn.functional.interpolate(coarse, SIZE, mode="bilinear")


def luma(pixels):
    return edit_features.opponent(pixels)[:, :1]


def test_greys_have_no_other_opponent_colour():
    grey = torch.full((1, 3, 4, 4), 51.0)
    colours = edit_features.opponent(grey)
    torch.testing.assert_close(colours[:, 0], torch.full((1, 4, 4), 0.2))
    assert colours[:, 1:].abs().max() < 1e-6


def test_a_mean_counts_the_mask_alone_and_an_empty_one_is_zero():
    values = torch.arange(8.0).reshape(1, 1, 2, 4)
    mask = torch.tensor([[0, 0, 0, 0], [0, 1, 0, 1.0]])[None, None]
    assert edit_features.masked_mean(values, mask).item() == pytest.approx(6, abs=1e-4)
    assert edit_features.masked_mean(values, torch.zeros_like(mask)).item() == 0


def test_a_box_covers_pixels_by_their_share():
    like = torch.zeros(1, 1, 2, 4)
    boxes = torch.tensor([[[0.25, 0.0, 0.625, 0.5], [0.0, 0.0, 0.0, 0.0]]])
    masks = edit_features.box_masks(boxes, like)
    torch.testing.assert_close(masks[0, 0], torch.tensor([[0, 1, 0.5, 0], [0, 0, 0, 0]]))
    assert not masks[0, 1].any()


def test_seams_are_jumps_of_the_change_at_the_border(photo):
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., :48] = 1
    brighter = photo + 20 * mask
    clean = edit_features.seam_statistics(luma(photo), luma(photo + 20), mask)
    seam = edit_features.seam_statistics(luma(photo), luma(brighter), mask)
    assert clean.abs().max() < 1e-4 and seam[0, 2] > 0.01


def test_tiles_are_jumps_between_cells(photo):
    offsets = torch.randn(1, 1, 6, 10).repeat_interleave(16, 2).repeat_interleave(16, 3) * 10
    tiled = edit_features.seam_statistics(
        luma(photo), luma(photo + offsets), torch.ones(1, 1, *SIZE)
    )
    assert tiled[0, 1] > 0.01 and tiled[0, 3] > 0.01


def test_noise_adds_and_blur_takes_fine_edges(photo):
    ones = torch.ones(1, 1, *SIZE)
    sharp = luma(photo + torch.randn_like(photo) * 10)
    soft = torch.nn.functional.avg_pool2d(sharp, 5, 1, 2)
    edges = edit_features.edge_statistics(sharp, soft, ones)[0]
    assert edges[3] < edges[1] - 0.5
    edges = edit_features.edge_statistics(soft, sharp, ones)[0]
    assert edges[3] > edges[1] + 0.5


def test_clipped_pixels_are_counted():
    source = torch.full((1, 3, *SIZE), 100.0)
    answer = source.clone()
    answer[..., :48, :] = 255
    shares = edit_features.clipped_shares(source, answer, torch.ones(1, 1, *SIZE))
    torch.testing.assert_close(shares[0], torch.tensor([0, 0, 0, 0.5]), atol=1e-4, rtol=0)


def test_an_evaluator_of_every_bucket_and_batch(photo):
    evaluator = Evaluator(("none", "remove"), ("red",)).eval()
    width = evaluator.vocabulary.width
    reading, boxes = torch.zeros(2, 2, width), torch.zeros(2, 2, 2, 4)
    for height, width in ((128, 128), SIZE, (160, 96)):
        pair = torch.rand(2, 3, height, width) * 255
        region = torch.ones(2, 1, height // 16, width // 16)
        logits = evaluator(pair, pair.flip(0), region, reading, boxes)
        assert logits.shape == (2, len(PARTS)) and logits.isfinite().all()


def test_rows_do_not_depend_on_their_company(photo):
    evaluator = Evaluator(("none",)).eval()
    other = torch.rand_like(photo) * 255
    rows = [torch.cat([photo, other]), torch.cat([other, photo])]
    rest = WHOLE.repeat(2, 1, 1, 1), torch.zeros(2, 2, 1), torch.zeros(2, 2, 2, 4)
    both = evaluator(*rows, *rest)
    alone = evaluator(photo, other, *(tensor[:1] for tensor in rest))
    torch.testing.assert_close(both[:1], alone, rtol=1e-4, atol=1e-5)
