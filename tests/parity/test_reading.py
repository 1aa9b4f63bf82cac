"""Prompt positions and the language model's pass against transformers' own forward."""

import numpy as np
import pytest
import torch

from retouch.api.geometry import BUCKETS
from retouch.families.instructx.prompt import IMAGE_PAD, PromptWriter
from retouch.families.qwen_vl.patches import PatchLayout
from retouch.networks.instructx import MetaQueries
from retouch.networks.qwen_vl import encode_image, encode_queries
from training.parser import ROPE, make_language_model

SENTENCES = ["make the red circle blue", "remove it", "move the small green star to the top left"]


@pytest.fixture(scope="module")
def writer(folder):
    return PromptWriter(folder / "tokenizer" / "tokenizer.json", queries=8)


def write(writer, size):
    """Prompts, the attention mask of their real tokens, and the grid in patches of every image."""
    prompts = writer.write(SENTENCES, (size[0] // 16, size[1] // 16))
    real = np.arange(prompts.ids.shape[1]) <= prompts.query_index[:, -1:]
    grid = torch.tensor([[1, size[0] // 8, size[1] // 8]] * len(SENTENCES))
    return prompts, torch.from_numpy(real.astype(np.int64)), grid


@pytest.mark.parametrize("size", BUCKETS)
def test_positions(writer, size):
    prompts, mask, grid = write(writer, size)
    ids = torch.from_numpy(prompts.ids)
    kinds = (ids == writer.tokenizer.token_to_id(IMAGE_PAD)).int()
    model = make_language_model(640).model
    expected, _ = model.get_rope_index(ids, kinds, image_grid_thw=grid, attention_mask=mask)
    np.testing.assert_array_equal(prompts.positions * mask.numpy(), expected.numpy() * mask.numpy())


@pytest.mark.parametrize("size", BUCKETS)
def test_hidden_states(writer, size):
    model = make_language_model(writer.tokenizer.get_vocab_size()).eval()
    queries = MetaQueries(8, 192)
    assert model.config.image_token_id == writer.tokenizer.token_to_id(IMAGE_PAD)
    prompts, mask, grid = write(writer, size)
    ids, positions, image_index, query_index, cos, sin = map(
        torch.from_numpy,
        (
            prompts.ids,
            prompts.positions,
            prompts.image_index,
            prompts.query_index,
            *ROPE.tables(prompts.positions),
        ),
    )
    layout = PatchLayout()
    pixels = np.random.default_rng(1).integers(0, 256, (3, *size, 3), np.uint8)
    inputs = {name: torch.from_numpy(array) for name, array in layout.inputs(pixels).items()}
    rows = torch.arange(3)[:, None]
    with torch.no_grad():
        tokens = encode_image(model.model.visual, *inputs.values())
        ours = encode_queries(model.model, queries, tokens, ids, image_index, query_index, cos, sin)
        embedded = model.get_input_embeddings()(ids)
        embedded[rows, query_index] = queries.weight
        hidden = model.model(
            input_ids=ids,
            inputs_embeds=embedded,
            attention_mask=mask,
            position_ids=positions,
            pixel_values=inputs["pixel_values"].flatten(0, 1),
            image_grid_thw=grid,
        ).last_hidden_state
    torch.testing.assert_close(ours[0], hidden[rows, query_index], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours[1], hidden[rows, image_index], rtol=1e-4, atol=1e-5)
