"""Stage 2: the parser is trained on the labels of drawn pairs: fields, boxes and changed cells."""

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
from training.labels import FIELDS, SLOTS, DrawnPair, boxes, changed_cells, contents, fields
from training.loop import Plan, train
from training.render import COLOURS, KINDS
from training.scenes import BUCKETS, draw_pair

WIDTH = 192
QUERIES = 8
HEADS = 6
THETA = 10.0
SECTIONS = (4, 6, 6)
ROPE = Rope(WIDTH // HEADS, THETA, SECTIONS)
PLAN = Plan(steps=6000, rate=1.2e-3, average=0.99, decay_from=0.5, save_every=50)
BATCH = 32


def make_language_model(vocabulary: int) -> Qwen2_5_VLForConditionalGeneration:
    """Qwen2.5-VL at 1/1000 of its size. One merged vision token is one cell of the transformer.

    The rotary base is 10. Columns get the lowest frequencies, and with the usual base of 10,000
    eight columns would be indistinguishable."""
    text = {
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "intermediate_size": 384,
        "num_hidden_layers": 3,
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
        "hidden_size": 96,
        "intermediate_size": 256,
        "num_heads": 3,
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
            {name: list(values) for name, values in FIELDS.items()}, SLOTS, QUERIES, WIDTH
        )
        # for training only: colour and kind of the shape in a cell
        self.contents = nn.Linear(WIDTH, 1 + len(COLOURS) + 1 + len(KINDS))

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
    """A batch and its labels of `training.labels`: fields, boxes, changed cells and contents."""

    batch: Batch
    fields: Tensor
    boxes: Tensor
    changed: Tensor
    contents: Tensor


def draw(rng: random.Random, writer: PromptWriter) -> Sample:
    bucket = rng.choice(BUCKETS)
    return sample_of([DrawnPair.of(draw_pair(rng, bucket)) for _ in range(BATCH)], writer)


def sample_of(drawn: list[DrawnPair], writer: PromptWriter) -> Sample:
    """The sample of drawn pairs, which all have the same bucket."""
    instructions = [example.pair.instruction for example in drawn]
    pixels = np.stack([example.source.pixels for example in drawn])
    batch = batch_of(writer, pixels, instructions)
    rows = [
        (
            fields(example.pair),
            boxes(example.pair),
            changed_cells(example.source, example.target),
            contents(example.pair.source, example.source),
        )
        for example in drawn
    ]
    return Sample(batch, *(torch.from_numpy(np.stack(column)) for column in zip(*rows)))


def losses(understood: Understanding, shown: Tensor, sample: Sample) -> dict[str, Tensor]:
    """Losses by name: cross-entropy of the fields, of the region and of the cells' contents, and
    box distance.

    Boxes are in shares of the image. The box of a background is the whole image and has no
    loss."""
    logits = understood.labels.split([len(values) for values in FIELDS.values()], -1)
    label = sum(
        F.cross_entropy(row.flatten(0, 1), sample.fields[..., i].flatten())
        for i, row in enumerate(logits)
    )
    across = sample.boxes[..., 2:3] - sample.boxes[..., 0:1]
    exists = ((across > 0) & (across < 1)).float()
    box = ((understood.boxes - sample.boxes).abs() * exists).sum() / (4 * exists.sum().clamp_min(1))
    region = F.binary_cross_entropy_with_logits(understood.region, sample.changed.float())
    colour, kind = shown.flatten(0, 1).split([1 + len(COLOURS), 1 + len(KINDS)], -1)
    content = sum(
        F.cross_entropy(logits, sample.contents[..., i].flatten())
        for i, logits in enumerate((colour, kind))
    )
    return {"label": 0.5 * label, "box": 20 * box, "region": 4 * region, "content": 2 * content}


def run(work: Path, seed: int = 0, say=print) -> ParserNetworks:
    torch.manual_seed(seed)
    writer = PromptWriter(work / "tokenizer.json", QUERIES)
    networks = ParserNetworks(writer.tokenizer.get_vocab_size())

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
    exists = np.abs(places).sum(-1) > 0
    box = np.abs(understood.boxes.numpy() - places)[exists].mean()
    region = understood.region.numpy() > 0
    overlap = (region & changed).sum(1) / (region | changed).sum(1).clip(1)
    shares = {name: right[..., i][is_set[..., i]].mean() for i, name in enumerate(FIELDS)}
    text = " ".join(
        f"{name.replace('target_', 't.').replace('value_', 'v.')} {share:.2f}"
        for name, share in shares.items()
    )
    return f"box {box:.4f} iou {overlap.mean():.2f} {text}"
