"""Stage 1: the autoencoder is trained on single pictures.

The encoder is the area mean over 2×2 pixels, with fixed weights. A latent is the colour of a place,
so the transformer has clean inputs from its first step on. The decoder starts as bilinear
upsampling, and its residual blocks are trained to restore edges. Its direct path is fixed, because
the smallest change to a carrier changes every pixel."""

import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from retouch.diffusion.latents import pack
from training.loop import Plan, train
from training.scenes import BUCKETS
from training.worlds import draw_source

PLAN = Plan(steps=600, rate=5e-4, average=0.98, decay_from=0.3, warmup=50, save_every=50)
CROP = 64
BATCH = 16
PATCH = 8  # latents of a token in each direction
FACTOR = 2  # pixels of a latent in each direction
SHIFT = 0.0
SCALE = 1.6  # gives the latents about unit standard deviation
# a constant that dominates the group norms, so that an image's level and contrast pass through
CARRIER = 10.0
LINEAR = 6.0  # SiLU is the identity plus a constant from here on


def make() -> AutoencoderKL:
    """An autoencoder with factor 2, 3 latent channels, one normalisation group and no attention."""
    vae = AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=3,
        norm_num_groups=1,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    vae.register_to_config(shift_factor=SHIFT, scaling_factor=SCALE)
    _pass_through(vae)
    return vae


def area_tokens(pixels: list[np.ndarray]) -> np.ndarray:
    """Encode images uint8 [H, W, 3] of one size to tokens float32 [B, N, 192], without the
    network."""
    scaled = np.stack(pixels).astype(np.float32) / 127.5 - 1
    batch, height, width, _ = scaled.shape
    cells = scaled.reshape(batch, height // FACTOR, FACTOR, width // FACTOR, FACTOR, 3)
    mean = cells.mean((2, 4)).transpose(0, 3, 1, 2)
    return pack((mean - SHIFT) * SCALE, PATCH)


def run(work: Path, seed: int = 0, say=print) -> AutoencoderKL:
    torch.manual_seed(seed)
    vae = make()
    vae.requires_grad_(False)
    for block in vae.decoder.modules():
        if isinstance(block, ResnetBlock2D):
            block.conv1.requires_grad_(True)
            block.conv2.requires_grad_(True)

    def loss_of(step: int) -> dict[str, torch.Tensor]:
        rng = random.Random(f"vae {seed} {step}")
        pixels = images(rng, BATCH)
        with torch.no_grad():
            latents = vae.encode(pixels).latent_dist.mode()
        # the transformer's latents are not exact either
        blur = 0.03 * torch.rand(len(pixels), 1, 1, 1)
        out = vae.decode(latents + blur * torch.randn_like(latents)).sample
        return {"l1": (out - pixels).abs().mean(), "l2": 2 * F.mse_loss(out, pixels)}

    train(vae, PLAN, loss_of, work / "vae.pt", say)
    return vae.eval()


def images(rng: random.Random, count: int) -> torch.Tensor:
    """Random crops of pictures of all worlds in −1..1: float32 [count, 3, CROP, CROP]."""
    out = []
    for _ in range(count):
        pixels = draw_source(rng, rng.choice(BUCKETS)).pixels
        y = rng.randint(0, pixels.shape[0] - CROP)
        x = rng.randint(0, pixels.shape[1] - CROP)
        out.append(pixels[y : y + CROP, x : x + CROP])
    return to_tensor(out)


def to_tensor(pixels: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def _pass_through(vae: AutoencoderKL) -> None:
    """Set weights that make the encoder an area mean and the decoder bilinear upsampling.

    Channels 0 to 2 hold the colour and 3 to 5 its negative, so that a group's mean is 0. The last
    two hold ±CARRIER, which sets its standard deviation."""
    for half in (vae.encoder, vae.decoder):
        blocks = [block for block in half.modules() if isinstance(block, ResnetBlock2D)]
        for block in blocks:
            nn.init.zeros_(block.conv2.weight)
            nn.init.zeros_(block.conv2.bias)
            if block.conv_shortcut is not None:
                _spread(block.conv_shortcut, torch.ones(1, 1))
        for norm in (half.conv_norm_out, *(block.norm1 for block in blocks)):
            nn.init.constant_(norm.weight, CARRIER * (2 / norm.num_channels) ** 0.5)
    mean = F.pad(torch.full((2, 2), 0.25), (1, 0, 1, 0))  # Downsample2D pads right and below
    bilinear = torch.tensor([0.25, 0.5, 0.25]).outer(torch.tensor([0.25, 0.5, 0.25]))
    one = F.pad(torch.ones(1, 1), (1, 1, 1, 1))
    encoder = vae.encoder
    decoder = vae.decoder
    _spread(encoder.conv_in, one, bias=CARRIER)
    _spread(encoder.down_blocks[0].downsamplers[0].conv, mean.flip(0, 1))
    _spread(decoder.conv_in, one, bias=CARRIER)
    _spread(decoder.up_blocks[0].upsamplers[0].conv, bilinear)
    for half in (encoder, decoder):
        half.conv_norm_out.bias.fill_(LINEAR)
        _spread(half.conv_out, one, carriers=False)
        half.conv_out.bias[:3] = -LINEAR * torch.sigmoid(torch.tensor(LINEAR))
    encoder.conv_out.bias[3:] = -9.0  # log variance: the posterior is practically its mean


def _spread(
    conv: nn.Conv2d, kernel: torch.Tensor, bias: float = 0.0, carriers: bool = True
) -> None:
    """Pass the colours and their negatives through `kernel`, and the carriers unchanged. `bias`
    creates the carriers."""
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    middle = kernel.shape[0] // 2
    for channel in range(3 if conv.in_channels == 3 or not carriers else 6):
        conv.weight[channel, channel] = kernel
        if conv.in_channels == 3:
            conv.weight[channel + 3, channel] = -kernel
    if bias:
        conv.bias[-2:] = torch.tensor([bias, -bias])
    elif carriers:
        for channel in (-2, -1):
            conv.weight[channel, channel, middle, middle] = 1.0
