"""The torch runner against ONNX Runtime's on the shipped lanes, on the CPU."""

import gc
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from beside import (
    GRIDS,
    SENTENCES,
    Pass,
    distance,
    distances,
    edited,
    folder_of,
    inputs,
    loop,
    psnr,
)
from retouch.artifacts.manifest import ArtifactError
from retouch.backends.base import backend_of
from retouch.backends.onnx import OnnxBackend
from retouch.backends.torch import COMPILE, DEVICE, TorchBackend
from retouch.backends.torch_module import _shared
from retouch.launcher.server import REPOSITORY
from retouch.networks.fp8_linear import Fp8Linear
from retouch.offline.plain_loop import PlainLoop

LANES = ("bf16", "fp8")
ROUNDING = 2**-6  # what bfloat16 may move an output by; measured are 0.003 to 0.008


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.setenv(DEVICE, "cpu")
    monkeypatch.delenv(COMPILE, raising=False)


def test_is_the_runner_called_torch():
    assert backend_of("torch") is TorchBackend


@pytest.mark.parametrize(
    "lane, grid, count", zip(("bf16", "fp8", "bf16"), GRIDS, (20, 33, 1), strict=True)
)
def test_is_as_near_as_rounding_allows(lane, grid, count):
    """Both runners round at the same places, so on average they are equally far from no rounding,
    on any processor.

    One token has few numbers for the FP8 roundings to even out over, and takes more draws.
    """
    apart, ours, theirs = distances(folder_of(lane), grid, count, range(32 if count == 1 else 8))
    for name, far in theirs.items():
        assert apart[name] <= 1.25 * far and ours[name] <= 1.25 * far, name
        assert lane != "bf16" or apart[name] <= ROUNDING, name


@pytest.mark.parametrize("lane", LANES)
def test_the_same_picture(lane):
    onnx = PlainLoop(REPOSITORY, lane)
    ours = loop(lane)
    for sentence in SENTENCES:
        assert psnr(edited(ours, sentence), edited(onnx, sentence)) >= 40


@pytest.mark.parametrize("lane, narrow", (("bf16", 0), ("fp8", 35)))
def test_narrow_layers_are_those_of_the_graph(lane, narrow):
    network = TorchBackend(folder_of(lane), "step")._module.model
    layers = [layer for layer in network.modules() if isinstance(layer, Fp8Linear)]
    assert len(layers) == narrow
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())
    if layers:  # queries, keys and values of a stream read one activation
        attention = network.transformer_blocks[0].attn
        assert attention.to_q.scale is attention.to_k.scale is attention.to_v.scale
        assert attention.to_q.scale is not attention.add_q_proj.scale


def test_parameters_are_the_checkpoints(folder, repository):
    """Bit for bit, also those that the exporter folds, and shares where they are equal."""
    stored = load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
    network = TorchBackend(folder_of("bf16", repository), "step")._module.model
    parameters = dict(network.named_parameters())
    assert parameters.keys() == stored.keys()
    for name, parameter in parameters.items():
        assert torch.equal(parameter.float(), stored[name].float()), name


def test_the_reference_has_storage_for_what_it_uses_only():
    network = TorchBackend(folder_of("bf16"), "reference")._module.model
    assert network.context_embedder.weight.is_meta and not network.x_embedder.weight.is_meta


def test_takes_keys_and_values_of_another_runner():
    source, target = inputs((8, 8), 20)
    ours, theirs = (Pass(kind, folder_of("bf16")) for kind in (TorchBackend, OnnxBackend))
    kept = theirs.reference.run(**source)
    mixed = kept | ours.step.run(**target, **kept)
    assert mixed["velocity"].dtype == np.float32
    assert distance(mixed, theirs.run(source, target))["velocity"] <= ROUNDING
    kept = ours.reference.run(**source)
    assert np.asarray(kept["k"]).dtype == np.float32
    fetched = {name: np.asarray(array) for name, array in kept.items()}
    assert distance(fetched | theirs.step.run(**target, **fetched), mixed)["velocity"] <= ROUNDING


@pytest.mark.parametrize("lane", LANES)
def test_edits_share_a_step(lane):
    """As lists of rows, kept keys and values among them; what one gets is what it gets alone, but
    for rounding."""
    ours = Pass(TorchBackend, folder_of(lane))
    several = [inputs((8, 8), 20, seed) for seed in range(3)]
    rows = [target | ours.reference.run(**source) for source, target in several]
    together = ours.step.run(**{name: [row[name] for row in rows] for name in rows[0]})["velocity"]
    assert together.shape == (3, 20, 192)
    far = distances(folder_of(lane), (8, 8), 20, range(8))[2]["velocity"]
    for got, step_inputs in zip(together, several):
        alone = ours.run(*step_inputs)["velocity"][0]
        assert np.linalg.norm(got - alone) <= far * np.linalg.norm(alone)


def test_kept_keys_tell_their_size():
    kept = TorchBackend(folder_of("bf16"), "reference", keep=("k", "v")).run(
        **inputs((8, 8), 20)[0]
    )
    assert kept["k"].nbytes == 2 * np.asarray(kept["k"]).size


def test_sizes_share_one_compilation(monkeypatch):
    """Torch's tracer decides when to compile again, whatever then compiles. The lane fp8 has layers
    of both precisions."""
    compiler = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda module, **options: compiler(module, **options, backend="eager")
    )
    monkeypatch.setenv(COMPILE, "1")
    torch._dynamo.reset()
    compiled = Pass(TorchBackend, folder_of("fp8"))
    plain = Pass(TorchBackend, folder_of("fp8"), compiled=False)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for grid, count in zip(GRIDS, (20, 33, 60)):
            step_inputs = inputs(grid, count)
            assert distance(compiled.run(*step_inputs), plain.run(*step_inputs))["velocity"] == 0


def weights(backend):
    """Parameters, and the numbers of narrow layers, by name; not what the graph does not use."""
    state = backend._module.state_dict(keep_vars=True)
    return {
        name: tensor
        for name, tensor in state.items()
        if not tensor.is_meta and name.endswith(("weight", "bias", "numbers"))
    }


@pytest.mark.parametrize("lane", LANES)
def test_graphs_of_a_folder_share_their_weights(lane):
    """A weight of both is one tensor, and goes when both are gone."""

    def held():
        return [tensor for key, tensor in _shared.items() if key[0] == folder_of(lane).resolve()]

    gc.collect()
    assert not held()
    backends = [TorchBackend(folder_of(lane), graph) for graph in ("reference", "step")]
    reference, step = map(weights, backends)
    common = reference.keys() & step.keys()
    assert len(common) > 20 and all(reference[name] is step[name] for name in common)
    assert len(held()) == len(reference.keys() | step.keys())
    del backends, reference, step
    gc.collect()
    assert not held()


@pytest.fixture()
def copied(tmp_path):
    there = tmp_path / "denoiser_fp8" / "1"
    return shutil.copytree(folder_of("fp8"), there, ignore=shutil.ignore_patterns("__pycache__"))


def test_offloaded_parameters_give_the_same():
    pixels = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    folder = REPOSITORY / "vae_encoder" / "1"
    there = TorchBackend(folder, "model", device="cpu", compiled=False)
    brought = TorchBackend(folder, "model", device="cpu", compiled=False, offload=True)
    for _ in range(2):
        np.testing.assert_array_equal(
            brought.run(pixels=pixels)["latents"], there.run(pixels=pixels)["latents"]
        )


def test_fp4_is_refused():
    with pytest.raises(ArtifactError, match="runs bf16 and fp8, for fp4 choose"):
        TorchBackend(folder_of("fp4"), "step")


def test_a_changed_file_is_refused(copied):
    with open(copied / "step.onnx.data", "r+b") as data:
        data.write(b"\xff" * 64)
    with pytest.raises(ArtifactError, match="is not the file its manifest.json describes"):
        TorchBackend(copied, "step")


def test_an_export_that_does_not_describe_the_transformer_is_refused(copied):
    manifest = json.loads((copied / "manifest.json").read_text())
    del manifest["settings"]["networks"]
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="run the export again"):
        TorchBackend(copied, "step")


@pytest.mark.parametrize(
    "device, message",
    (
        ("abacus", "must be cpu, cuda"),
        ("meta", "must be cpu, cuda"),
        ("cuda:99", "finds no cuda:99 here"),
    ),
)
def test_a_device_that_is_not_here_is_refused(device, message, monkeypatch):
    monkeypatch.setenv(DEVICE, device)
    with pytest.raises(ArtifactError, match=message):
        TorchBackend(folder_of("bf16"), "reference")


def test_a_wish_to_compile_is_0_or_1(monkeypatch):
    monkeypatch.setenv(COMPILE, "yes")
    with pytest.raises(ValueError, match="must be 0 or 1"):
        TorchBackend(folder_of("bf16"), "reference")
