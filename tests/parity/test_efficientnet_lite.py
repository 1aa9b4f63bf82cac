"""The evaluator's features against the network of the package that published the weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from retouch.networks.efficientnet_lite import CHANNELS, MEAN, SPREAD, EfficientNetLite

AFTER = (2, 4, 10)  # the published network's blocks at whose end the features are


@pytest.fixture(scope="module")
def pair():
    """Both networks with the same random weights and statistics."""
    theirs_of = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name
    torch.manual_seed(0)
    theirs = theirs_of("efficientnet-lite0").eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    ours = EfficientNetLite().eval()
    stored = theirs.state_dict()
    ours.load_state_dict({name: stored[name] for name in ours.state_dict()})
    return ours, theirs


@torch.inference_mode()
def test_features_are_the_published_networks(pair):
    ours, theirs = pair
    pixels = torch.rand(1, 3, 224, 224) * 255  # theirs pads for this size
    mean, spread = (torch.tensor(row)[:, None, None] for row in (MEAN, SPREAD))
    hidden = F.relu6(theirs._bn0(theirs._conv_stem((pixels / 255 - mean) / spread)))
    expected = []
    for number, block in enumerate(theirs._blocks[: AFTER[-1] + 1]):
        hidden = block(hidden)
        expected += [hidden] if number in AFTER else []
    for feature, reference, channels in zip(ours(pixels), expected, CHANNELS, strict=True):
        assert feature.shape[1] == channels
        torch.testing.assert_close(feature, reference, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("size", [(128, 128), (96, 160), (160, 96)])
def test_features_have_strides_4_8_and_16(pair, size):
    features = pair[0](torch.rand(2, 3, *size) * 255)
    for feature, stride in zip(features, (4, 8, 16), strict=True):
        assert feature.shape[2:] == (size[0] // stride, size[1] // stride)
