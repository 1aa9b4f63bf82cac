"""Stages 5 to 7: the connector is trained on the label encoder's conditioning, then connector and
transformer together, then all networks.

In the last stage the language model only changes by a LoRA adapter, so that it does not forget how
to parse."""

import random
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import Flux2Transformer2DModel
from peft import LoraConfig
from torch import Tensor, nn

from retouch.families.instructx.prompt import PromptWriter
from retouch.networks.instructx import Connector
from training import parser, transformer
from training.loop import Plan, train
from training.parser import QUERIES, WIDTH, ParserNetworks
from training.readings import Reading
from training.start import Start
from training.teacher import TOKENS_PER_SLOT, LabelEncoder
from training.transformer import WHOLE_EVERY, is_shape, noisy_boxes

READINGS = 1500  # batches
CONNECT = Plan(steps=3000, rate=2e-3, average=0.99, warmup=50, decay_from=0.3, log_every=500)
ROWS = 256  # edits in a step of the connector
ADAPT = Plan(steps=1000, rate=5e-4, average=0.99, warmup=50, decay_from=0.2, save_every=100)
JOINT = Plan(
    steps=60, rate=2e-4, average=0.95, warmup=20, decay_from=0.3, save_every=20, log_every=20
)
NEAR = 0.06  # share of the side; a more distant box belongs to another shape
LORA = LoraConfig(
    r=8, lora_alpha=16, target_modules=r"model\.language_model.*\.(q_proj|v_proj|o_proj)"
)


def connect(
    work: Path,
    readings: list[Reading],
    teacher: LabelEncoder,
    start: Start | None = None,
    seed: int = 0,
    say=print,
) -> Connector:
    """Train a connector to map the meta-queries to the teacher's conditioning."""
    torch.manual_seed(seed)
    connector = Connector(WIDTH, 4 * WIDTH, transformer.CONDITIONING, TOKENS_PER_SLOT)
    if start:
        start.fill_connector(connector)
    queries = torch.cat([reading.queries for reading in readings])
    with torch.no_grad():
        rows = [teacher(reading.batch.fields, reading.batch.boxes) for reading in readings]
    targets = torch.cat(rows)

    def loss_of(step: int) -> dict[str, Tensor]:
        rng = random.Random(f"connector {seed} {step}")
        rows = rng.choices(range(len(queries)), k=ROWS)
        return {"connector": F.mse_loss(connector(queries[rows]), targets[rows])}

    train(connector, CONNECT, loss_of, work / "connector.pt", say)
    return connector


def adapt(
    work: Path,
    readings: list[Reading],
    connector: Connector,
    model: Flux2Transformer2DModel,
    seed: int = 0,
    say=print,
) -> None:
    """Train connector and transformer on what the parser reads, without the parser."""

    def loss_of(step: int) -> dict[str, Tensor]:
        torch.manual_seed(random.Random(f"adapt {seed} {step}").getrandbits(32))
        number = step % len(readings)
        reading = readings[number]
        places = parsed_boxes(reading.boxes, reading.batch.boxes)
        loss = transformer.denoise_loss(model, reading.batch, connector(reading.queries), places)
        return {"local" if number % WHOLE_EVERY else "whole": loss}

    train(nn.ModuleList([connector, model]), ADAPT, loss_of, work / "adapt.pt", say)


def join(
    work: Path,
    networks: ParserNetworks,
    connector: Connector,
    model: Flux2Transformer2DModel,
    seed: int = 0,
    say=print,
) -> None:
    """Train adapter, meta-queries, connector and transformer on the denoising loss plus a small
    parser loss.

    The conditioning lies at the parsed boxes, so that the transformer learns how exact they are."""
    torch.manual_seed(seed)
    networks.requires_grad_(False)
    networks.text_encoder.add_adapter(LORA)
    networks.meta_queries.requires_grad_(True)
    writer = PromptWriter(work / "tokenizer.json", QUERIES)

    def loss_of(step: int) -> dict[str, Tensor]:
        rng = random.Random(f"joint {seed} {step}")
        torch.manual_seed(rng.getrandbits(32))
        batch = transformer.draw_batch(rng, whole=step % WHOLE_EVERY == 0)
        sample = parser.sample_of(batch.examples, writer)
        queries, understood, shown = networks(sample.batch)
        places = parsed_boxes(understood.boxes.detach(), batch.boxes)
        denoise = transformer.denoise_loss(model, batch, connector(queries), places)
        held = parser.losses(understood, shown, sample)
        return {"denoise": denoise, "held": 0.05 * sum(held.values())}

    train(nn.ModuleList([networks, connector, model]), JOINT, loss_of, work / "joint.pt", say)


def parsed_boxes(parsed: Tensor, exact: Tensor) -> Tensor:
    """The parser's boxes [B, S, 2, 4] where they belong to the right shape, otherwise noisy label
    boxes.

    The transformer cannot learn from a box of the wrong shape."""
    shape = is_shape(exact)
    near = (parsed - exact).abs().amax(-1, keepdim=True) < NEAR
    return torch.where(shape & near, parsed, noisy_boxes(exact))
