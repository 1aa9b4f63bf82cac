"""Adapters by request against merged weights: of every trainer's layout, by every runner, and many
in random order within a budget."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from benchmarks.merged_adapters import MergedBackend, random_adapter
from beside import folder_of
from families_tiny import NAMES, denoise_request, export_family
from retouch.api.adapters import parse_adapters
from retouch.artifacts.adapter_folder import (
    adapters_in,
    fingerprint,
    read_adapter,
    read_matrices,
    write_adapter,
)
from retouch.artifacts.manifest import read
from retouch.backends.onnx import Float32Backend, OnnxBackend
from retouch.backends.onnx_branches import add_branches
from retouch.backends.onnx_cuda import OnnxCudaBackend
from retouch.backends.torch import TorchBackend
from retouch.backends.torch_branches import Branches, padded
from retouch.engine.denoiser import Denoiser
from retouch.launcher.server import REPOSITORY
from retouch_clients.command import retouch
from retouch_export.linear import linears

torch_runner = partial(TorchBackend, device="cpu", compiled=False)
cuda_runner = partial(OnnxCudaBackend, device="cpu")
EXACT = 1e-5  # relative, of results in float32
ROUNDED = 0.1  # of whole edits in bfloat16 and FP8; measured are 0.002 to 0.022


def add(folder, name, lane, matrices):
    write_adapter(folder, name, fingerprint(read(lane)), matrices, "random", "0" * 64)


def far(ours, theirs):
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def last(denoiser, request):
    return list(denoiser.run(request))[-1].latents


# -- every family ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=NAMES)
def family(request, tmp_path_factory):
    return export_family(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def adapted(family, tmp_path_factory):
    """The folder with an adapter for the family's network, its matrices, and an edit with it."""
    folder = tmp_path_factory.mktemp("adapters")
    lane = family.folder()
    matrices = random_adapter(lane, seed=1, rank=5, strength=1.0)
    add(folder, "random", lane, matrices)
    ours = family.denoiser().family
    size = min(size for span in ours.size_ranges for size in span)
    edit = denoise_request(ours, size, ours.text_tokens[0])
    return folder, matrices, replace(edit, adapters=(("random", 1.0),))


def test_every_linear_layer_has_a_branch(family):
    for path in family.folder().glob("*.onnx"):
        wide = add_branches(onnx.load(path))
        modules = {linear.module for linear in linears(ir.load(path))}
        assert modules and wide == {f"{name}/{side}" for name in modules for side in ("down", "up")}
        assert add_branches(onnx.load(family.folder("fp8") / path.name)) == wide


def test_an_edit_in_float32_is_the_one_of_merged_weights(family, adapted):
    folder, matrices, edit = adapted
    merged = Denoiser(family.folder(), partial(MergedBackend, rounded=False, matrices=matrices))
    theirs = last(merged, replace(edit, adapters=()))
    exact = Denoiser(family.folder(), Float32Backend, adapters=folder)
    assert far(last(exact, edit), theirs) <= EXACT
    assert far(last(exact, replace(edit, adapters=())), theirs) > 2 * ROUNDED


@pytest.mark.parametrize("runner", (OnnxBackend, cuda_runner, torch_runner))
@pytest.mark.parametrize("lane", ("bf16", "fp8"))
def test_every_runner_is_as_near_as_rounding_allows(family, adapted, lane, runner):
    if runner is cuda_runner and lane == "fp8":
        pytest.skip("onnx-cuda refuses FP8")
    folder, _, edit = adapted
    exact = last(Denoiser(family.folder(), Float32Backend, adapters=folder), edit)
    ours = last(Denoiser(family.folder(lane), runner, adapters=folder), edit)
    assert far(ours, exact) <= ROUNDED


# -- layouts ---------------------------------------------------------------------------------------


def written(tmp_path, tensors):
    save_file(tensors, tmp_path / "pytorch_lora_weights.safetensors")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(retouch, list(map(str, arguments)), catch_exceptions=False)


def diffusers_file(tmp_path, **more):
    module = "transformer.transformer_blocks.0.attn.to_q"
    tensors = {
        f"{module}.lora_A.weight": torch.ones(3, 192, dtype=torch.bfloat16),
        f"{module}.lora_B.weight": torch.arange(192 * 3, dtype=torch.float32).reshape(192, 3),
        f"{module}.alpha": torch.tensor(6.0),
    }
    return written(tmp_path, tensors | more)


def test_a_file_becomes_matrices_with_its_strength(tmp_path):
    path = diffusers_file(tmp_path)
    folder = tmp_path / "adapters"
    options = "--name", "one", "--repository", REPOSITORY, "--adapters", folder
    done = run("adapters", "add", path, *options)
    assert done.exit_code == 0, done.output
    manifest = read_adapter(folder, "one")
    assert (manifest.rank, manifest.modules) == (3, 1)
    assert manifest.bytes == (folder / "one" / manifest.file).stat().st_size
    matrices = read_matrices(folder, manifest)
    module = "transformer_blocks.0.attn.to_q"
    np.testing.assert_array_equal(matrices[f"{module}/down"], np.ones((192, 3), np.float32))
    expected = 2 * np.arange(192 * 3, dtype=np.float32).reshape(192, 3).T
    np.testing.assert_array_equal(matrices[f"{module}/up"], expected)
    listed = run("adapters", "list", "--adapters", folder)
    assert "one" in listed.stdout and "pytorch_lora_weights" in listed.stdout
    assert run("adapters", "remove", "one", "--adapters", folder).exit_code == 0
    assert not adapters_in(folder)


OTHER = "transformer.transformer_blocks.0.attn."


@pytest.mark.parametrize(
    "more, message",
    (
        ({f"{OTHER}to_q.dora_scale": torch.ones(1)}, "the adapter is DoRA"),
        ({f"{OTHER}to_q.lokr_w1": torch.ones(1)}, "the adapter is LoKr"),
        (
            {
                f"{OTHER}to_x.lora_A.weight": torch.ones(3, 192),
                f"{OTHER}to_x.lora_B.weight": torch.ones(192, 3),
            },
            "changes transformer_blocks.0.attn.to_x, which this checkpoint's transformer does not",
        ),
        (
            {
                f"{OTHER}to_k.lora_A.weight": torch.ones(3, 100),
                f"{OTHER}to_k.lora_B.weight": torch.ones(192, 3),
            },
            "it was trained on another network",
        ),
        ({f"{OTHER}to_q.lora_B.weight": torch.ones(192, 2)}, "have ranks 3 and 2"),
    ),
    ids=("DoRA", "LoKr", "another layer", "another width", "other ranks"),
)
def test_what_cannot_be_added_is_one_sentence(tmp_path, more, message):
    folder = tmp_path / "adapters"
    options = "--name", "one", "--repository", REPOSITORY, "--adapters", folder
    done = run("adapters", "add", diffusers_file(tmp_path, **more), *options)
    assert done.exit_code == 1 and message in " ".join(done.stderr.split())
    assert not adapters_in(folder)


# -- many in random order --------------------------------------------------------------------------


def test_many_adapters_in_random_order_within_a_budget(tmp_path):
    """On the shipped transformer: whatever is loaded and evicted, an edit is the one of its merged
    weights."""
    lane = folder_of("bf16")
    names = [f"a{number}" for number in range(5)]
    for number, name in enumerate(names):
        add(tmp_path, name, lane, random_adapter(lane, number, rank=number + 1, share=0.3))
    largest = max(manifest.bytes for manifest in adapters_in(tmp_path).values())
    denoiser = Denoiser(lane, Float32Backend, adapters=tmp_path, adapter_bytes=2 * largest)
    edit = denoise_request(denoiser.family, (128, 128), 8)
    edit = replace(edit, steps=1)
    theirs = {
        name: last(
            Denoiser(
                lane,
                partial(
                    MergedBackend,
                    rounded=False,
                    matrices=read_matrices(tmp_path, read_adapter(tmp_path, name)),
                ),
            ),
            edit,
        )
        for name in names
    }
    order = random.Random(0).choices(names, k=20)
    for name in order:
        ours = last(denoiser, replace(edit, adapters=((name, 1.0),)))
        assert far(ours, theirs[name]) <= EXACT, name
        assert denoiser.adapters.counts.bytes <= 2 * largest
    counts = denoiser.adapters.counts
    assert counts.evictions and counts.misses < 2 * len(order)
    pair = last(denoiser, replace(edit, adapters=parse_adapters("a0:0.5,a1:0.5")))
    assert min(far(pair, alone) for alone in theirs.values()) > 10 * EXACT


# -- compiled --------------------------------------------------------------------------------------


def test_adapters_share_what_torch_compiles():
    """Whatever layers and ranks they have, up to the next of few ranks."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 4))
    branches = Branches(module)
    compiled_graphs = []

    def backend(graph, _):
        compiled_graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compiled = torch.compile(module, dynamic=True, backend=backend)
    x = torch.randn(3, 6)

    def matrices(name, rank):
        layer = module[int(name)]
        return {
            f"{name}/down": torch.randn(layer.in_features, rank),
            f"{name}/up": torch.randn(rank, layer.out_features),
        }

    with torch.no_grad():
        plain = compiled(x)
        for adapter in (
            matrices("0", 4),
            matrices("1", 16),
            matrices("0", 1) | matrices("1", 7),
            {},
        ):
            with branches.using(branches.completed(padded(adapter)) if adapter else {}):
                ours = compiled(x)
            with branches.using(adapter):
                theirs = module(x)
            torch.testing.assert_close(ours, theirs)
            assert torch.equal(ours, plain) != bool(adapter)
    assert len(compiled_graphs) == 2  # without an adapter, and with any
    assert padded(matrices("0", 17))["0/up"].shape == (32, 5)
