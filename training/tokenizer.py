"""The tokenizer: byte-level BPE with Qwen's special tokens, trained on drawn instructions."""

import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from retouch.families.instructx.prompt import END, IMAGE_PAD, QUERY, START, VISION_END, VISION_START
from training import scope

VOCABULARY = 1600
SENTENCES = 30000
SPECIAL = ("<|endoftext|>", START, END, VISION_START, VISION_END, IMAGE_PAD, "<|video_pad|>", QUERY)


def run(work: Path, seed: int = 0, sentences: int = 0) -> Tokenizer:
    """Train it on as many sentences; 0 is SENTENCES."""
    rng = random.Random(f"tokenizer {seed}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(_sentences(rng, sentences or SENTENCES), trainer)
    work.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(work / "tokenizer.json"))
    return tokenizer


def _sentences(rng: random.Random, count: int) -> Iterator[str]:
    """Sentences that the grammar can say. Those it cannot say have no tokens of their own, which
    helps to tell them."""
    for _ in range(count):
        sentence, operations = scope.draw_text(rng)
        if operations[0].op != "unknown":
            yield sentence
