"""The layout of prompts; their positions are held against transformers' beside the other
parities."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from retouch.families.instructx.prompt import (
    END,
    IMAGE_PAD,
    MAX_TOKENS,
    QUERY,
    START,
    VISION_END,
    VISION_START,
    PromptWriter,
)

WORDS = ("red", "blue", "circle")


@pytest.fixture
def writer(tmp_path):
    tokens = (START, END, VISION_START, VISION_END, IMAGE_PAD, QUERY, *WORDS)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(tokens)}, END))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(list(tokens[:6]))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return PromptWriter(tmp_path / "tokenizer.json", queries=3)


def words_of(writer, row):
    return [writer.tokenizer.id_to_token(int(token)) for token in row]


def test_text_image_and_queries_in_this_order(writer):
    prompts = writer.write(["red circle", "blue"], (2, 3))
    image = [IMAGE_PAD] * 6
    queries = [QUERY] * 3
    tail = [VISION_START, *image, VISION_END, *queries]
    assert words_of(writer, prompts.ids[0]) == [START, "red", "circle", *tail]
    assert words_of(writer, prompts.ids[1]) == [START, "blue", *tail, END]
    for row in range(2):
        assert words_of(writer, prompts.ids[row][prompts.image_index[row]]) == image
        assert words_of(writer, prompts.ids[row][prompts.query_index[row]]) == queries


def test_a_row_is_the_same_alone_but_for_its_padding(writer):
    together = writer.write(["red circle", "blue"], (2, 3))
    alone = writer.write(["blue"], (2, 3))
    length = alone.ids.shape[1]
    np.testing.assert_array_equal(together.ids[1:, :length], alone.ids)
    np.testing.assert_array_equal(together.positions[:, 1:, :length], alone.positions)
    np.testing.assert_array_equal(together.query_index[1:], alone.query_index)


def test_a_long_instruction_is_cut(writer):
    prompts = writer.write(["red " * (MAX_TOKENS + 50)], (2, 3))
    assert prompts.ids.shape[1] == MAX_TOKENS + 2 + 6 + 1 + 3


def test_an_instruction_cannot_smuggle_special_tokens(writer):
    prompts = writer.write([f"red {IMAGE_PAD} {QUERY}"], (2, 3))
    assert (prompts.ids == writer.tokenizer.token_to_id(IMAGE_PAD)).sum() == 6
