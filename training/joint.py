"""Stages 4 and 5: the connector learns to say what the labels said; then all parts learn together.

In the joint stage the language model changes through a LoRA adapter alone, so that what it knows of
parsing stays."""

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
from training.teacher import TOKENS_PER_SLOT, LabelEncoder
from training.transformer import WHOLE_EVERY, is_shape, noisy_boxes

CONNECT = Plan(steps=600, rate=2e-3, average=0.98, warmup=20, decay_from=0.3)
JOINT = Plan(
    steps=1800, rate=2e-4, average=0.99, warmup=50, decay_from=0.3, save_every=50, log_every=20
)
NEAR = 0.06  # shares; a box further off belongs to another shape
LORA = LoraConfig(
    r=8, lora_alpha=16, target_modules=r"model\.language_model.*\.(q_proj|v_proj|o_proj)"
)


def connect(
    work: Path, networks: ParserNetworks, teacher: LabelEncoder, seed: int = 0, say=print
) -> Connector:
    """A connector whose output for the meta-queries is the teacher's for the labels."""
    torch.manual_seed(seed)
    connector = Connector(WIDTH, 4 * WIDTH, transformer.CONDITIONING, TOKENS_PER_SLOT)
    writer = PromptWriter(work / "tokenizer.json", QUERIES)

    def loss_of(step: int) -> dict[str, Tensor]:
        sample = parser.draw(random.Random(f"connector {seed} {step}"), writer)
        with torch.no_grad():
            queries, _, _ = networks(sample.batch)
            wanted = teacher(sample.words, sample.places)
        return {"connector": F.mse_loss(connector(queries), wanted)}

    train(connector, CONNECT, loss_of, work / "connector.pt", say)
    return connector


def join(
    work: Path,
    networks: ParserNetworks,
    connector: Connector,
    model: Flux2Transformer2DModel,
    seed: int = 0,
    say=print,
) -> None:
    """Adapter, meta-queries, connector and transformer, on the denoising loss, held to the labels
    meanwhile.

    The conditioning stands where the parser says, so that the transformer learns how far to trust
    it."""
    torch.manual_seed(seed)
    networks.requires_grad_(False)
    networks.text_encoder.add_adapter(LORA)
    networks.meta_queries.requires_grad_(True)
    writer = PromptWriter(work / "tokenizer.json", QUERIES)

    def loss_of(step: int) -> dict[str, Tensor]:
        rng = random.Random(f"joint {seed} {step}")
        torch.manual_seed(rng.getrandbits(32))
        batch = transformer.draw_batch(rng, whole=step % WHOLE_EVERY == 0)
        sample = parser.sample_of(batch.drawn, writer)
        queries, understood, shown = networks(sample.batch)
        places = found_boxes(understood.boxes.detach(), batch.boxes)
        denoise = transformer.denoise_loss(model, batch, connector(queries), places)
        held = parser.losses(understood, shown, sample)
        return {"denoise": denoise, "held": 0.05 * sum(held.values())}

    train(nn.ModuleList([networks, connector, model]), JOINT, loss_of, work / "joint.pt", say)


def found_boxes(found: Tensor, exact: Tensor) -> Tensor:
    """The parser's boxes [B, S, 2, 4] where it has found the right shape, else the labels', a
    little off: which shape is meant the transformer cannot learn from an example of another one."""
    shape = is_shape(exact)
    near = (found - exact).abs().amax(-1, keepdim=True) < NEAR
    return torch.where(shape & near, found, noisy_boxes(exact))
