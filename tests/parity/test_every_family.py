"""What holds for every family alike: the torch runner, plans' profiles and the cost of a step, by
its adapter."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import onnx
import pytest

from families_tiny import NAMES, SIZES, denoise_request, export_family
from retouch.artifacts.manifest import ArtifactError
from retouch.backends.onnx import OnnxBackend
from retouch.backends.torch import TorchBackend
from retouch.engine import cost_model
from retouch.families.flux2_klein_kv.sampling import Family
from retouch.networks.fp8_linear import Fp8Linear
from retouch_clients.profiling import step_profile
from retouch_export.tensorrt_profiles import profiles, shapes

LANES = ("bf16", "fp8")
SMALL = ((64, 96), (80, 80), (80, 80)), ((16, 16), (64, 96), (64, 96))  # in place of klein's
torch_runner = partial(TorchBackend, device="cpu", compiled=False)


@pytest.fixture(scope="module", params=NAMES)
def family(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Family, "size_ranges", SMALL)
        yield export_family(request.param, tmp_path_factory.mktemp(request.param))


def sizes(family):
    return list(dict.fromkeys(size for span in family.size_ranges for size in span))


def far(ours, theirs):
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


# -- the torch runner ------------------------------------------------------------------------------


DRAWS = range(4)  # what a rounding does to one edit is chance, and a processor's sums decide it


def latents(family, lane, runner, which, share, more):
    """Of an edit each draw."""
    denoiser = family.denoiser(lane, runner)
    adapter = denoiser.family
    size = sizes(adapter)[which]
    edits = [
        denoise_request(adapter, size, adapter.text_tokens[1], seed, share, more) for seed in DRAWS
    ]
    return np.stack([list(denoiser.run(edit))[-1].latents for edit in edits])


@pytest.mark.parametrize(
    "lane, which, share, more",
    (("bf16", 0, 1.0, 0), ("fp8", -1, 0.4, 0), ("bf16", 0, 1.0, 1)),
    ids=("bf16 whole", "fp8 part", "bf16 references"),
)
def test_torch_is_as_near_as_rounding_allows(family, lane, which, share, more):
    """Whole edits in four steps, of the lane in torch, on ONNX Runtime, and there with no rounding
    in between."""
    if more > family.denoiser(lane).family.max_references:
        pytest.skip("this family takes no references: the edit is the one of a whole image")
    ours, theirs, exact = (
        latents(family, lane, runner, which, share, more)
        for runner in (torch_runner, OnnxBackend, partial(OnnxBackend, rounded=False))
    )
    assert 0 < far(theirs, exact) < 0.1
    assert far(ours, exact) <= 1.25 * far(theirs, exact)
    assert far(ours, theirs) <= 2 * far(theirs, exact)


@pytest.mark.parametrize("lane", LANES)
def test_narrow_layers_are_those_of_the_graph(family, lane):
    network = torch_runner(family.folder(lane), "step")._module.model
    narrow = sum(isinstance(layer, Fp8Linear) for layer in network.modules())
    held = onnx.load(family.folder(lane) / "step.onnx", load_external_data=False).graph.initializer
    assert narrow == sum(tensor.name.endswith("/fp8") for tensor in held)
    assert (narrow > 0) == (lane == "fp8")
    assert [
        name
        for name, parameter in network.named_parameters()
        if parameter.is_meta and not lasts_words(name) and not takes_no_text(family, name)
    ] == []


def lasts_words(name):
    """Qwen-Image's last block makes nothing of its words, and the graph has no such parameters."""
    return name.startswith("transformer_blocks.1.") and ("txt_mlp" in name or "to_add_out" in name)


def takes_no_text(family, name):
    """A block-causal family's step has the text's keys and values instead."""
    return family.denoiser().family.is_block_causal and name.startswith("txt_in.")


def test_edits_share_a_step_in_torch(family):
    """What one gets is what it gets alone, but for rounding."""
    denoiser = family.denoiser(runner=torch_runner)
    adapter = denoiser.family
    asked = [
        denoise_request(adapter, sizes(adapter)[0], adapter.text_tokens[1], seed)
        for seed in range(3)
    ]
    edits = [denoiser.begin(request) for request in asked]
    while edits[0].steps:
        together = denoiser.step(edits)
    for edit, progress, request in zip(edits, together, asked):
        denoiser.end(edit)
        *_, alone = denoiser.run(request)
        assert far(progress.latents, alone.latents) <= 0.02


# -- TensorRT's profiles ---------------------------------------------------------------------------


def graphs(family):
    return {
        path.stem: onnx.load(path, load_external_data=False)
        for path in family.folder().glob("*.onnx")
    }


def test_every_dynamic_axis_has_limits(family):
    adapter = family.denoiser().family
    for model in graphs(family).values():
        axes = [axis for tensor in model.graph.input for axis in tensor.type.tensor_type.shape.dim]
        dynamic = {axis.dim_param for axis in axes if axis.dim_param}
        table = profiles(model, adapter)
        assert len(table) == 2 * len(adapter.size_ranges)
        for profile in table:
            assert dynamic == profile.keys()
            least = {name: 0 if name == "past" else 1 for name in profile}
            assert all(
                least[name] <= low <= favoured <= high
                for name, (low, favoured, high) in profile.items()
            )
            for limits in shapes(model, profile).values():
                assert all(a <= b <= c for a, b, c in zip(*limits))


@pytest.mark.parametrize("batch", (1, 3))
@pytest.mark.parametrize("which", (0, 1, 2))
def test_inputs_of_edits_fit_a_profile(family, batch, which):
    """What the denoiser gives its graphs, of sizes, texts and references at the ends and in the
    middle of their ranges."""
    seen = {}

    class Watched(OnnxBackend):
        def __init__(self, folder, graph, keep=()):
            super().__init__(folder, graph, keep)
            self.graph = graph

        def run(self, **inputs):
            seen[self.graph] = {
                name: np.concatenate(value) if isinstance(value, list) else value
                for name, value in inputs.items()
            }
            return super().run(**inputs)

    denoiser = family.denoiser(runner=Watched)
    adapter = denoiser.family
    size = sizes(adapter)[which % len(sizes(adapter))]
    more = adapter.max_references if which == 2 else 0
    asked = [
        denoise_request(
            adapter, size, adapter.text_tokens[which], seed, (0.2, 0.6, 1.0)[which], more
        )
        for seed in range(batch)
    ]
    denoiser.step([denoiser.begin(request) for request in asked])
    for name, model in graphs(family).items():
        table = [shapes(model, profile) for profile in profiles(model, adapter)]

        def fits(limits, name=name):
            return all(
                len(value.shape) == len(limits[tensor][0])
                and all(
                    low <= side <= high
                    for low, side, high in zip(limits[tensor][0], value.shape, limits[tensor][2])
                )
                for tensor, value in seen[name].items()
            )

        assert set(seen[name]) == set(table[0])
        assert any(map(fits, table)), {tensor: value.shape for tensor, value in seen[name].items()}


# -- the cost of a step ----------------------------------------------------------------------------


def test_a_step_is_measured(family, monkeypatch):
    monkeypatch.setattr(step_profile, "BATCHES", (1, 2))
    monkeypatch.setattr(step_profile, "REPEATS", 2)
    path = step_profile.profile(family.repository, "bf16")
    profile = json.loads(path.read_text())
    adapter = family.denoiser().family
    shares = len(step_profile.SHARES) if adapter.supports_regions else 1
    assert len(profile["measured"]) == 2 * shares * len(sizes(adapter))
    cost = cost_model.load(family.folder())
    for sample in profile["measured"]:
        assert sample["seconds"] > 0 and sample["target_tokens"] >= 1
        assert sample["reference_tokens"] >= sample["target_tokens"]
        assert cost.seconds(
            sample["batch"], sample["target_tokens"], sample["reference_tokens"]
        ) == pytest.approx(sample["fitted"])
    assert cost.kv_bytes_per_token > 0 and cost.activation_bytes_per_token > 0
    assert cost.contention > 0


def test_a_lane_that_is_not_exported_is_told(family):
    with pytest.raises(ArtifactError, match="run the export"):
        step_profile.profile(family.repository, "fp4")


def test_sizes_are_the_tiny_ones(family):
    adapter = family.denoiser().family
    assert max(side for size in sizes(adapter) for side in size) <= 160, SIZES
