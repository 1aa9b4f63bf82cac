"""Stage 3: the parser is trained on the labels of drawn pairs: fields, boxes and changed cells."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from retouch.api.geometry import CELL
from retouch.diffusion.latents import cell_centres
from retouch.families.instructx.prompt import PromptWriter
from retouch.families.qwen_vl.patches import PatchLayout
from retouch.families.qwen_vl.rope import Rope
from retouch.networks.instructx import MetaQueries, ParserHeads, Understanding
from retouch.networks.qwen_vl import encode_image, encode_queries
from training.example import Example
from training.labels import FIELDS, HEAD_FIELDS, SLOTS, label
from training.loop import Plan, train
from training.scenes import BUCKETS
from training.worlds import draw_example, idle_example

WIDTH = 192
QUERIES = 8
HEADS = 6
THETA = 10.0
SECTIONS = (4, 6, 6)
ROPE = Rope(WIDTH // HEADS, THETA, SECTIONS)
PLAN = Plan(steps=6000, rate=2e-3, average=0.99, decay_from=0.55, save_every=50)
BATCH = 24
IDLE = 0.2  # share of examples whose sentence changes nothing
CONTENTS = len(FIELDS["value_colour"]), len(FIELDS["value_kind"])


def make_language_model(vocabulary: int) -> Qwen2_5_VLForConditionalGeneration:
    """Qwen2.5-VL at 1/1000 of its size. One merged vision token is one cell of the transformer.

    The rotary base is 10. Columns get the lowest frequencies, and with the usual base of 10,000
    eight columns would be indistinguishable."""
    text = {
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": THETA,
            "mrope_section": [*SECTIONS],
        },
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    vision = {
        "depth": 2,
        "hidden_size": 128,
        "intermediate_size": 320,
        "num_heads": 4,
        "patch_size": 8,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "out_hidden_size": WIDTH,
        "fullatt_block_indexes": [0, 1],
    }
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        vision_start_token_id=3,
        vision_end_token_id=4,
        image_token_id=5,
        video_token_id=6,
        tie_word_embeddings=True,
    )
    return Qwen2_5_VLForConditionalGeneration(config)


class ParserNetworks(nn.Module):
    """The networks that are trained to parse."""

    def __init__(self, vocabulary: int):
        super().__init__()
        self.text_encoder = make_language_model(vocabulary)
        self.meta_queries = MetaQueries(QUERIES, WIDTH)
        self.heads = ParserHeads(
            HEAD_FIELDS,
            SLOTS,
            QUERIES,
            WIDTH,
            presence=True,
        )
        # for training only: colour and kind of the object in a cell
        self.contents = nn.Linear(WIDTH, sum(CONTENTS))

    def forward(self, batch: "Batch") -> tuple[Tensor, Understanding, Tensor]:
        """Hidden states at the meta-queries [B, Q, WIDTH], the output of the heads, and logits of
        the cells' contents."""
        tokens = encode_image(self.text_encoder.model.visual, batch.patches, batch.cos, batch.sin)
        queries, cells = encode_queries(
            self.text_encoder.model,
            self.meta_queries,
            tokens,
            batch.ids,
            batch.image_index,
            batch.query_index,
            batch.rope_cos,
            batch.rope_sin,
        )
        return queries, self.heads(queries, cells, batch.centres), self.contents(tokens)


@dataclass(frozen=True)
class Batch:
    patches: Tensor
    cos: Tensor
    sin: Tensor
    ids: Tensor
    image_index: Tensor
    query_index: Tensor
    rope_cos: Tensor
    rope_sin: Tensor
    centres: Tensor


def batch_of(writer: PromptWriter, pixels: np.ndarray, instructions: list[str]) -> Batch:
    """Parser inputs for images uint8 [B, H, W, 3] of one size and their instructions."""
    grid = pixels.shape[1] // CELL, pixels.shape[2] // CELL
    prompts = writer.write(instructions, grid)
    arrays = (
        *PatchLayout().inputs(pixels).values(),
        prompts.ids,
        prompts.image_index,
        prompts.query_index,
        *ROPE.tables(prompts.positions),
        cell_centres(grid),
    )
    return Batch(*map(torch.from_numpy, arrays))


@dataclass(frozen=True)
class Sample:
    """A batch and its labels of `training.labels`: fields, boxes, changed cells, contents and
    presence."""

    batch: Batch
    fields: Tensor
    boxes: Tensor
    changed: Tensor
    contents: Tensor
    presence: Tensor


def draw(rng: random.Random, writer: PromptWriter) -> Sample:
    bucket = rng.choice(BUCKETS)
    draws = (idle_example if rng.random() < IDLE else draw_example for _ in range(BATCH))
    return sample_of([draw(rng, bucket) for draw in draws], writer)


def sample_of(examples: list[Example], writer: PromptWriter) -> Sample:
    """The sample of examples, which all have the same bucket."""
    pixels = np.stack([example.source for example in examples])
    batch = batch_of(writer, pixels, [example.sentence for example in examples])
    columns = zip(*map(label, examples))
    return Sample(batch, *(torch.from_numpy(np.stack(column)) for column in columns))


def losses(understood: Understanding, shown: Tensor, sample: Sample) -> dict[str, Tensor]:
    """Losses by name: cross-entropy of the fields, of the region, of the cells' contents and of the
    target's presence, and box distance in shares of the image. Only items have boxes to learn."""
    box = ((understood.boxes - sample.boxes).abs() * has_item(sample.fields)).sum()
    count = 4 * has_item(sample.fields).sum().clamp_min(1)
    region = F.binary_cross_entropy_with_logits(understood.region, sample.changed.float())
    colour, kind = shown.flatten(0, 1).split(CONTENTS, -1)
    content = sum(
        F.cross_entropy(logits, sample.contents[..., i].flatten())
        for i, logits in enumerate((colour, kind))
    )
    sought = sample.presence >= 0
    presence = F.binary_cross_entropy_with_logits(
        understood.presence, sample.presence.clamp_min(0), weight=sought.float()
    )
    return {
        "label": 0.5 * label_loss(understood.labels, sample.fields),
        "box": 20 * box / count,
        "region": 4 * region,
        "content": 2 * content,
        "presence": 2 * presence,
    }


def label_loss(labels: Tensor, fields: Tensor) -> Tensor:
    """The sum of the fields' cross-entropies. `labels` are logits [B, S, K], `fields` [B, S, F]."""
    logits = labels.split([len(values) for values in FIELDS.values()], -1)
    return sum(
        F.cross_entropy(row.flatten(0, 1), fields[..., i].flatten()) for i, row in enumerate(logits)
    )


def has_item(fields: Tensor) -> Tensor:
    """Which boxes [B, S, 2, 1] are of an item: those whose kind is labelled."""
    names = list(FIELDS)
    kinds = [fields[..., names.index(f"{side}_kind")] for side in ("target", "value")]
    return (torch.stack(kinds, -1) > 0)[..., None].float()


def run(work: Path, networks: ParserNetworks, seed: int = 0, say=print) -> ParserNetworks:
    """Train all networks of the parser on pictures with sentences."""
    torch.manual_seed(seed)
    writer = PromptWriter(work / "tokenizer.json", QUERIES)

    def loss_of(step: int) -> dict[str, Tensor]:
        sample = draw(random.Random(f"parser {seed} {step}"), writer)
        _, understood, shown = networks(sample.batch)
        if step % 50 == 0:
            say(score(understood, sample))
        return losses(understood, shown, sample)

    train(networks, PLAN, loss_of, work / "parser.pt", say)
    return networks.eval()


@torch.no_grad()
def score(understood: Understanding, sample: Sample) -> str:
    """One line of text: share of right fields (without "none"), mean box error in shares, region
    IoU."""
    expected = sample.fields.numpy()
    places = sample.boxes.numpy()
    changed = sample.changed.numpy()
    logits = understood.labels.split([len(values) for values in FIELDS.values()], -1)
    right = np.stack([row.argmax(-1).numpy() for row in logits], -1) == expected
    is_set = expected > 0
    exists = has_item(sample.fields).numpy()[..., 0] * (np.abs(places).sum(-1) > 0) > 0
    box = np.abs(understood.boxes.numpy() - places)[exists].mean()
    region = understood.region.numpy() > 0
    overlap = (region & changed).sum(1) / (region | changed).sum(1).clip(1)
    shares = {name: right[..., i][is_set[..., i]].mean() for i, name in enumerate(FIELDS)}
    text = " ".join(
        f"{name.replace('target_', 't.').replace('value_', 'v.')} {share:.2f}"
        for name, share in shares.items()
    )
    sought = sample.presence.numpy() >= 0
    seen = (understood.presence.numpy() > 0) == (sample.presence.numpy() > 0)
    return f"box {box:.4f} iou {overlap.mean():.2f} presence {seen[sought].mean():.2f} {text}"
