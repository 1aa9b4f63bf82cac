"""The tokenizer: byte-level BPE with Qwen's special tokens, trained on drawn instructions."""

import random
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from retouch.families.instructx.prompt import END, IMAGE_PAD, QUERY, START, VISION_END, VISION_START
from training.scenes import draw_pair

VOCABULARY = 640
SPECIAL = ("<|endoftext|>", START, END, VISION_START, VISION_END, IMAGE_PAD, "<|video_pad|>", QUERY)


def run(work: Path, seed: int = 0, sentences: int = 20000) -> Tokenizer:
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
    tokenizer.train_from_iterator((draw_pair(rng).instruction for _ in range(sentences)), trainer)
    work.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(work / "tokenizer.json"))
    return tokenizer
