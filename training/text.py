"""Stage 2: the language model is trained on sentences alone, without pictures: operations, kinds,
colours, places, amounts, and what is not in the grammar."""

import random
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from retouch.families.instructx.prompt import PromptWriter
from retouch.networks.qwen_vl import encode_queries
from training import scope
from training.labels import FIELDS, fields
from training.loop import Plan, train
from training.operation import Operation
from training.parser import QUERIES, ROPE, SLOTS, WIDTH, ParserNetworks, label_loss
from training.start import Start

PLAN = Plan(steps=6000, rate=2e-3, average=0.99, decay_from=0.4, save_every=100, log_every=100)
BATCH = 32
GROUP = 8  # batches whose sentences are sorted by length together, so that few tokens are padding
SEEN_ALONE = ("target_size", "value_size")  # fields that the sentence alone does not tell
Labelled = tuple[str, tuple[Operation, ...]]


def run(work: Path, start: Start | None = None, seed: int = 0, say=print) -> ParserNetworks:
    """Networks whose language model, meta-queries and heads of the labels are trained; those of
    `start` are."""
    torch.manual_seed(seed)
    writer = PromptWriter(work / "tokenizer.json", QUERIES)
    networks = ParserNetworks(writer.tokenizer.get_vocab_size())
    if start:
        start.fill_parser(networks)
        return networks
    trained = torch.nn.ModuleList(
        [networks.text_encoder.model.language_model, networks.meta_queries, networks.heads.labels]
    )

    @lru_cache(2)
    def group(number: int) -> list[list[Labelled]]:
        return draw_group(random.Random(f"text {seed} {number}"))

    def loss_of(step: int) -> dict[str, Tensor]:
        rows = group(step // GROUP)[step % GROUP]
        labels, expected = read(networks, writer, rows)
        if step % 200 == 0:
            say(score(labels, expected))
        return {"label": label_loss(labels, expected)}

    train(trained, PLAN, loss_of, work / "text.pt", say)
    return networks


def draw_group(rng: random.Random) -> list[list[Labelled]]:
    """GROUP batches of sentences in random order; those of a batch are about equally long."""
    rows = [scope.draw_text(rng) for _ in range(BATCH * GROUP)]
    rows.sort(key=lambda row: len(row[0].encode()))
    batches = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
    rng.shuffle(batches)
    return batches


def read(
    networks: ParserNetworks, writer: PromptWriter, rows: list[Labelled]
) -> tuple[Tensor, Tensor]:
    """Logits [B, S, K] of the labels, read beside an empty picture of one token, and the expected
    fields [B, S, F]."""
    prompts = writer.write([sentence for sentence, _ in rows], (1, 1))
    arrays = prompts.ids, prompts.image_index, prompts.query_index
    tables = ROPE.tables(prompts.positions)
    queries, _ = encode_queries(
        networks.text_encoder.model,
        networks.meta_queries,
        torch.zeros(len(rows), 1, WIDTH),
        *map(torch.from_numpy, (*arrays, *tables)),
    )
    labels = networks.heads.labels(queries.reshape(len(rows), SLOTS, -1))
    expected = np.stack([fields(operations) for _, operations in rows])
    return labels, torch.from_numpy(expected)


@torch.no_grad()
def score(labels: Tensor, expected: Tensor) -> str:
    """Shares of right fields and of wholly right sentences, as text."""
    logits = labels.split([len(values) for values in FIELDS.values()], -1)
    right = torch.stack([row.argmax(-1) for row in logits], -1) == expected
    named = [number for number, name in enumerate(FIELDS) if name not in SEEN_ALONE]
    shares = {
        name: right[..., number][expected[..., number] > 0].float().mean()
        for number, name in enumerate(FIELDS)
    }
    text = " ".join(f"{name} {share:.2f}" for name, share in shares.items())
    return f"sentences {right[..., named].all(-1).all(-1).float().mean():.3f} {text}"
