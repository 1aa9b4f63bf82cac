"""What FLUX.1 Kontext's adapter refuses, and its sizes; that it does what diffusers does is tested
beside the parities."""

import numpy as np
import pytest

from retouch.artifacts.manifest import Manifest, publish
from retouch.engine.edit_state import EditState
from retouch.families.denoise_request import DenoiseRequest
from retouch.families.flux_kontext.sampling import SIZES
from retouch.families.registry import family_of
from retouch.families.text_encoder import text_encoder_of

SETTINGS = {
    "scheduler": {"use_dynamic_shifting": True},
    "cell": 16,
    "guidance_embeds": True,
    "default_guidance": 2.5,
}
LATENTS = np.zeros((16, 4, 6), np.float32)
SAID = {
    "prompt_embeds": np.zeros((5, 8), np.float32),
    "pooled_prompt_embeds": np.zeros(4, np.float32),
}
EVERYWHERE = np.ones(6, bool)


@pytest.fixture
def family():
    return family_of("flux-kontext", SETTINGS)


def test_every_size_is_its_own(family):
    assert [family.size(*size) for size in SIZES] == list(SIZES)
    assert family.size(4096, 1024) == (1568, 672)


def test_guidance_is_the_edits_or_the_checkpoints(family):
    for asked, expected in ((0.0, 2.5), (4.0, 4.0)):
        request = DenoiseRequest(LATENTS, SAID, EVERYWHERE, seed=1, guidance=asked)
        assert family.constant_inputs(request, SAID, np.arange(6))["guidance"].tolist() == [
            expected
        ]


def test_another_scheduler_is_refused():
    with pytest.raises(ValueError, match="use_karras_sigmas"):
        family_of("flux-kontext", SETTINGS | {"scheduler": {"use_karras_sigmas": True}})


def test_a_family_without_a_reader_says_so(tmp_path):
    (tmp_path / "staging").mkdir()
    publish(tmp_path / "staging", tmp_path, Manifest("instructx", "", "", "", 20))
    with pytest.raises(ValueError, match="'instructx' has a parser and no text encoder"):
        text_encoder_of(tmp_path)


def test_transposed_images_share_no_step(family):
    """They have as many tokens, but a step is told where those lie but once."""
    wide, tall, other = (
        EditState(
            DenoiseRequest(np.zeros(shape, np.float32), SAID, EVERYWHERE, seed=1),
            family,
            2,
            preview_map=None,
        )
        for shape in ((16, 4, 6), (16, 6, 4), (16, 4, 6))
    )
    assert wide.batch_key == other.batch_key != tall.batch_key
    assert (
        (wide.batch_key.target_tokens, wide.batch_key.reference_tokens)
        == (tall.batch_key.target_tokens, tall.batch_key.reference_tokens)
        == (6, 6)
    )
