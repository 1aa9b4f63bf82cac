"""The two passes against Flux2Transformer2DModel's own K/V modes, which have one set of ids a
batch."""

from functools import partial

import numpy as np
import pytest
import torch
from diffusers.models.transformers import transformer_flux2 as flux2

from retouch.diffusion.latents import conditioning_ids, reference_ids, target_ids
from retouch.networks.flux2 import reference, step
from tiny import shake
from training.transformer import make

GRIDS = ((8, 8), (6, 10))
TOKEN = 192
close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def model():
    """With the attention processors of its K/V mode, as Flux2KleinKVPipeline sets them."""
    made = make().eval()
    shake(made.proj_out)  # all zeros before it is trained
    for block in made.transformer_blocks:
        block.attn.set_processor(flux2.Flux2KVAttnProcessor())
    for block in made.single_transformer_blocks:
        block.attn.set_processor(flux2.Flux2KVParallelSelfAttnProcessor())
    return made


def inputs(model, grid, count):
    """Two images of a grid, and `count` random target tokens of each."""
    boxes = np.random.default_rng(0).random((1, 2, 2, 4), np.float32)
    source = torch.from_numpy(reference_ids(grid))
    target = torch.from_numpy(target_ids(grid))
    chosen = torch.randperm(len(target))[:count].sort().values
    return {
        "source": torch.randn(2, len(source), TOKEN),
        "source_ids": source,
        "tokens": torch.randn(2, count, model.config.in_channels),
        "ids": target[chosen],
        "time": torch.tensor([0.9, 0.3]),
        "conditioning": torch.randn(2, 8, 192),
        "conditioning_ids": torch.from_numpy(conditioning_ids(boxes, grid, 4)[0]),
    }


def batched(ids):
    return ids.expand(2, -1, -1)


@torch.no_grad()
def run_ours(model, x):
    keys, values = reference(model, x["source"], batched(x["source_ids"]))
    out = step(
        model,
        x["tokens"],
        x["time"],
        x["conditioning"],
        batched(x["ids"]),
        batched(x["conditioning_ids"]),
        keys,
        values,
    )
    return keys, values, out


def extract(model, x):
    # nothing lies beside a reference token
    source = torch.nn.functional.pad(x["source"], (0, model.config.in_channels - TOKEN))
    return model(
        hidden_states=torch.cat([source, x["tokens"]], 1),
        timestep=x["time"],
        encoder_hidden_states=x["conditioning"],
        img_ids=torch.cat([x["source_ids"], x["ids"]]),
        txt_ids=x["conditioning_ids"],
        return_dict=False,
        kv_cache_mode="extract",
        num_ref_tokens=len(x["source_ids"]),
    )


@pytest.mark.parametrize("grid", GRIDS)
@torch.no_grad()
def test_extract(model, grid):
    """diffusers' first step computes the reference beside the target."""
    x = inputs(model, grid, 20)
    keys, values, ours = run_ours(model, x)
    theirs, cache = extract(model, x)
    layers = cache.double_block_caches + cache.single_block_caches
    close(ours, theirs)
    close(keys, torch.stack([layer.k_ref for layer in layers], 1))
    close(values, torch.stack([layer.v_ref for layer in layers], 1))


@pytest.mark.parametrize("grid", GRIDS)
@torch.no_grad()
def test_cached(model, grid):
    """Its later steps take the reference's keys and values from the cache."""
    x = inputs(model, grid, 9)
    _, cache = extract(model, x)
    (theirs,) = model(
        hidden_states=x["tokens"],
        timestep=x["time"],
        encoder_hidden_states=x["conditioning"],
        img_ids=x["ids"],
        txt_ids=x["conditioning_ids"],
        return_dict=False,
        kv_cache=cache,
        kv_cache_mode="cached",
    )
    close(run_ours(model, x)[2], theirs)


@torch.no_grad()
def test_each_row_has_its_own_ids(model):
    """What diffusers cannot: two regions in one batch, each as it is alone."""
    first = inputs(model, (8, 8), 12)
    second = inputs(model, (8, 8), 12)
    ids = torch.stack([first["ids"], second["ids"]])
    keys, values = reference(model, first["source"], batched(first["source_ids"]))
    together = step(
        model,
        first["tokens"],
        first["time"],
        first["conditioning"],
        ids,
        batched(first["conditioning_ids"]),
        keys,
        values,
    )
    alone = step(
        model,
        first["tokens"][1:],
        first["time"][1:],
        first["conditioning"][1:],
        ids[1:],
        first["conditioning_ids"][None],
        keys[1:],
        values[1:],
    )
    close(together[1:], alone)
