"""What the parser reads in batches of the transformer. It is kept: reading takes longer than a step
of what is trained on it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from retouch.families.instructx.prompt import PromptWriter
from training import parser, transformer
from training.parser import QUERIES, ParserNetworks

LOG_EVERY = 50  # batches


@dataclass(frozen=True)
class Reading:
    """A batch of B edits without its pictures, the hidden states at the meta-queries
    [B, Q, WIDTH], and the boxes [B, slots, 2, 4] that the parser found."""

    batch: transformer.Batch
    queries: Tensor
    boxes: Tensor


@torch.no_grad()
def read(
    work: Path, networks: ParserNetworks, count: int, seed: int, say: Callable[[str], None]
) -> list[Reading]:
    """Readings of `count` batches, other ones than the transformer was trained on."""
    writer = PromptWriter(work / "tokenizer.json", QUERIES)
    readings = []
    for number in range(count):
        rng = random.Random(f"readings {seed} {number}")
        batch = transformer.draw_batch(rng, whole=number % transformer.WHOLE_EVERY == 0)
        sample = parser.sample_of(batch.examples, writer)
        queries, understood, _ = networks(sample.batch)
        readings.append(Reading(replace(batch, examples=[]), queries, understood.boxes))
        if (number + 1) % LOG_EVERY == 0:
            say(f"read {number + 1}/{count} batches")
    return readings
