"""The evaluator's head: trained on features that were computed before."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from retouch.networks.evaluator import Evaluator
from training.quality.features import FeatureTable

STEPS = 6000
ROWS = 256
RATE = 1e-3
DECAY = 0.02
LOG_EVERY = 500
LEAST_SPREAD = 1e-3


def train(
    evaluator: Evaluator,
    table: FeatureTable,
    steps: int = STEPS,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> None:
    """Train the head; the backbone stays as it is."""
    torch.manual_seed(seed)
    evaluator.mean.copy_(table.features.mean(0))
    evaluator.spread.copy_(table.features.std(0).clamp_min(LEAST_SPREAD))
    head = evaluator.head.train()
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for step in range(steps):
        rows = torch.randint(len(table.features), (ROWS,))
        loss = loss_of(evaluator.judge(table.features[rows]), table.goals[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % LOG_EVERY == 0:
            say(f"{step + 1}/{steps} loss {loss.item():.4f}")
    evaluator.eval()


def loss_of(logits: Tensor, goals: Tensor) -> Tensor:
    """The mean cross-entropy of what is known; logits and goals are [B, 4]."""
    known = ~goals.isnan()
    losses = F.binary_cross_entropy_with_logits(logits, goals.nan_to_num(), reduction="none")
    return (losses * known).sum() / known.sum()
