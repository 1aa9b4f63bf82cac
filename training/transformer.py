"""Stage 4: the transformer is trained on drawn pairs and conditioning from the labels."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import Flux2Transformer2DModel
from torch import Tensor, nn

from retouch.diffusion.beside import channel_counts
from retouch.diffusion.box_features import box_features
from retouch.diffusion.latents import conditioning_ids, reference_ids, target_ids
from retouch.networks.affine import affine_width, clean_tokens
from retouch.networks.flux2 import reference, step
from training.example import Example
from training.labels import SLOTS, boxes, changed_cells, fields
from training.loop import Plan, train
from training.scenes import BUCKETS
from training.start import Start
from training.teacher import TOKENS_PER_SLOT, LabelEncoder
from training.vae import area_tokens
from training.worlds import draw_source

WIDTH = 192  # of a token
LATENTS = 3  # channels
CONDITIONING = 192
QUERIES = SLOTS * TOKENS_PER_SLOT
SOURCES = 8
EDITS = 6  # of one source, which share its reference pass
WHOLE_EDITS = 2
CELLS = 24  # of an edit in a batch that is not whole
DETAIL = 0.15  # spread of a colour within a token that holds an edge
WHOLE_EVERY = 3  # every third batch has all cells
BOX_NOISE = 0.006, 0.02  # shares, for four of five boxes and for the fifth: as exact as the parser
PLAN = Plan(steps=8500, rate=2e-3, average=0.99, decay_from=0.55, save_every=50)


def make() -> Flux2Transformer2DModel:
    """A transformer whose input channels are a noisy token and all that may be beside it."""
    model = Flux2Transformer2DModel(
        in_channels=WIDTH + channel_counts(WIDTH, SLOTS, QUERIES * CONDITIONING)[-1],
        out_channels=affine_width(LATENTS, WIDTH),
        num_layers=2,
        num_single_layers=4,
        attention_head_dim=32,
        num_attention_heads=6,
        joint_attention_dim=CONDITIONING,
        axes_dims_rope=(4, 12, 12, 4),
        rope_theta=100,
        mlp_ratio=3.0,
        guidance_embeds=False,
    )
    nn.init.zeros_(model.proj_out.weight)  # the source itself at first
    return model


@dataclass(frozen=True)
class Batch:
    """S sources of N cells and B edits of them; K cells of each edit are drawn.

    `source` is [S, N, C]; `source_of` [B] is the number of an edit's source. `target` and `beside`
    [B, K, C] are the tokens of result and source. `ids` are [B, K, 4], `changed` [B, K]. `fields`
    [B, slots, F] and `boxes` [B, slots, 2, 4] are labels of `training.labels`."""

    grid: tuple[int, int]
    source: Tensor
    source_of: Tensor
    target: Tensor
    beside: Tensor
    ids: Tensor
    changed: Tensor
    fields: Tensor
    boxes: Tensor
    examples: list[Example]


def draw_batch(rng: random.Random, whole: bool, sources: int = SOURCES) -> Batch:
    """Draw edits of several sources, with `whole` few of them on all cells, otherwise more on
    random cells that cover much of the change."""
    bucket = rng.choice(BUCKETS)
    groups = [_edits(rng, bucket, WHOLE_EDITS if whole else EDITS) for _ in range(sources)]
    examples = [example for group in groups for example in group]
    source_of = np.repeat(np.arange(sources), [len(group) for group in groups])
    changed = np.stack([changed_cells(row.source, row.target) for row in examples])
    grid = (bucket[0] // 16, bucket[1] // 16)
    count = changed.shape[1] if whole else CELLS
    keep = _cells(rng, changed, grid, count)
    rows = np.arange(len(keep))[:, None]
    tokens = area_tokens([group[0].source for group in groups])
    targets = area_tokens([row.target for row in examples])
    return Batch(
        grid=grid,
        source=torch.from_numpy(tokens),
        source_of=torch.from_numpy(source_of),
        beside=torch.from_numpy(tokens[source_of[:, None], keep]),
        target=torch.from_numpy(targets[rows, keep]),
        ids=torch.from_numpy(target_ids(grid)[keep]),
        changed=torch.from_numpy(changed[rows, keep]),
        fields=torch.from_numpy(np.stack([fields(row.operations) for row in examples])),
        boxes=torch.from_numpy(np.stack([boxes(row.operations) for row in examples])),
        examples=examples,
    )


def draw_times(count: int) -> Tensor:
    """Random times [count], mostly near 1: with less noise flat colours are visible, and the
    instruction is not needed."""
    near = 1 - 0.15 * torch.rand(count) ** 2
    kind = torch.rand(count)
    return torch.where(
        kind < 0.4,
        torch.ones(count),
        torch.where(kind < 0.75, near, torch.rand(count).clamp_min(0.02)),
    )


def denoise_loss(
    model: Flux2Transformer2DModel, batch: Batch, conditioning: Tensor, places: Tensor
) -> Tensor:
    """Smooth L1 distance of the predicted clean tokens, a scalar. `places` are boxes.

    The model predicts what becomes of the source's token at its place (`retouch.networks.affine`),
    so that what stays needs no capacity.

    Tokens that change or hold an edge weigh more, because flat colours are learned quickly."""
    everywhere = torch.from_numpy(reference_ids(batch.grid)).expand(len(batch.source), -1, -1)
    keys, values = reference(model, batch.source, everywhere)
    time = draw_times(len(batch.target))
    noisy = torch.lerp(batch.target, torch.randn_like(batch.target), time[:, None, None])
    ids = torch.from_numpy(conditioning_ids(places.numpy(), batch.grid, TOKENS_PER_SLOT))
    drawn = torch.from_numpy(box_features(places.numpy(), batch.ids.numpy(), batch.grid))
    operations = conditioning.flatten(1)[:, None].expand(-1, noisy.shape[1], -1)
    seen = torch.cat([noisy, batch.beside, drawn, operations], -1)
    predicted = step(
        model,
        seen,
        time,
        conditioning,
        batch.ids,
        ids,
        keys[batch.source_of],
        values[batch.source_of],
    )
    clean = clean_tokens(predicted, batch.beside, LATENTS)
    detailed = batch.target.unflatten(-1, (3, -1)).std(-1).amax(-1) > DETAIL
    weight = 1 + 2 * batch.changed.float() + 3 * detailed.float()
    distance = F.smooth_l1_loss(clean, batch.target, beta=0.1, reduction="none").mean(-1)
    return (distance * weight).sum() / weight.sum()


def run(
    work: Path, start: Start | None = None, seed: int = 0, say=print
) -> tuple[Flux2Transformer2DModel, LabelEncoder]:
    torch.manual_seed(seed)
    model = make()
    teacher = LabelEncoder(CONDITIONING)
    if start:
        start.fill_transformer(model, teacher)

    def loss_of(index: int) -> dict[str, Tensor]:
        rng = random.Random(f"pairs {seed} {index}")
        torch.manual_seed(rng.getrandbits(32))
        whole = index % WHOLE_EVERY == 0
        batch = draw_batch(rng, whole)
        places = noisy_boxes(batch.boxes)
        loss = denoise_loss(model, batch, teacher(batch.fields, places), places)
        return {"whole" if whole else "local": loss}

    train(nn.ModuleList([model, teacher]), PLAN, loss_of, work / "transformer.pt", say)
    return model.eval(), teacher.eval()


def noisy_boxes(places: Tensor) -> Tensor:
    """Boxes with small random shifts and smaller changes of size. Boxes of the whole image stay."""
    spread = torch.where(torch.rand(len(places), 1, 1, 1) < 0.8, *BOX_NOISE)
    moved = torch.randn(*places.shape[:-1], 2).repeat(1, 1, 1, 2)
    return places + is_shape(places) * spread * (moved + 0.5 * torch.randn_like(places))


def is_shape(places: Tensor) -> Tensor:
    """Which boxes [..., 4] are of shapes: bool [..., 1], False for empty boxes and for the whole
    image."""
    extent = (places[..., 2:] - places[..., :2]).mean(-1, keepdim=True)
    return (extent > 0) & (extent < 1)


def _edits(rng: random.Random, bucket: tuple[int, int], count: int) -> list[Example]:
    """Edits of one picture."""
    source = draw_source(rng, bucket)
    examples: list[Example] = []
    while len(examples) < count:
        example = source.edit(rng)
        if example and example.edits:
            examples.append(example)
    return examples


def _cells(
    rng: random.Random, changed: np.ndarray, grid: tuple[int, int], count: int
) -> np.ndarray:
    """Cells to train on, [B, count] in ascending order: changed cells first, then their neighbours,
    then any."""
    chance = np.random.default_rng(rng.getrandbits(32)).random(changed.shape)
    rank = 2 * changed + 0.5 * _near(changed, grid) + chance
    return np.sort(np.argsort(-rank, 1)[:, :count], 1)


def _near(changed: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Which cells touch a changed one, corners included."""
    padded = np.pad(changed.reshape(-1, *grid), ((0, 0), (1, 1), (1, 1)))
    rows, columns = grid
    spread = [padded[:, y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    return np.any(spread, 0).reshape(changed.shape)
