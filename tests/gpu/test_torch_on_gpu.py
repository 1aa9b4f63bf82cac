"""The torch runner on a GPU, against ONNX Runtime on the CPU, on the shipped lanes."""

import pytest
import torch

from beside import GRIDS, SENTENCES, Pass, distances, edited, folder_of, inputs, loop, psnr
from retouch.backends.torch import TorchBackend
from retouch.launcher.server import REPOSITORY
from retouch.networks.fp8_linear import E4M3, Fp8Linear, multiplies_fp8
from retouch.offline.plain_loop import PlainLoop

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a GPU and a CUDA build of PyTorch"
)

LANES = ("bf16", "fp8")
CUDA = torch.device("cuda")
EDITS = 100


@pytest.mark.parametrize("compiled", (False, True), ids=("eager", "compiled"))
@pytest.mark.parametrize("lane", LANES)
def test_is_no_further_from_the_exact_network_than_onnx_runtime(lane, compiled):
    _, ours, theirs = distances(folder_of(lane), GRIDS[0], 20, device="cuda", compiled=compiled)
    for name, far in theirs.items():
        assert ours[name] <= 1.5 * far, name


@pytest.mark.parametrize("compiled", (False, True), ids=("eager", "compiled"))
@pytest.mark.parametrize("lane", LANES)
def test_the_same_picture(lane, compiled):
    onnx = PlainLoop(REPOSITORY, lane)
    ours = loop(lane, device="cuda", compiled=compiled)
    for sentence in SENTENCES:
        assert psnr(edited(ours, sentence), edited(onnx, sentence)) >= 40


def test_keys_and_values_stay_on_the_device():
    kept = Pass(TorchBackend, folder_of("bf16"), device="cuda", compiled=False).reference.run(
        **inputs((8, 8), 20)[0]
    )
    assert {array.tensor.device.type for array in kept.values()} == {"cuda"}


@pytest.mark.skipif(
    not torch.cuda.is_available() or not multiplies_fp8(CUDA), reason="needs matrix units for E4M3"
)
@pytest.mark.parametrize("tokens", (1, 7, 520))
@pytest.mark.parametrize("rows, columns", ((576, 192), (40, 50), (3072, 3072)))
def test_matrix_units_agree_with_plain_arithmetic(rows, columns, tokens):
    torch.manual_seed(0)
    weight = torch.randn(rows, columns, device=CUDA).to(E4M3)
    bias = torch.randn(rows, device=CUDA).bfloat16()
    scales = torch.tensor(2.0**-6, device=CUDA), torch.tensor(2.0**-5, device=CUDA)
    native, wide = (Fp8Linear(weight, *scales, bias, native_fp8) for native_fp8 in (True, False))
    x = torch.randn(tokens, columns, device=CUDA).bfloat16() * 8
    plain = wide(x).float()
    assert (native(x).float() - plain).norm() <= 2**-7 * plain.norm()


@pytest.mark.parametrize("lane", LANES)
def test_memory_returns_to_its_level(lane):
    stages = loop(lane, device="cuda", compiled=False)
    for sentence in SENTENCES:
        edited(stages, sentence)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    for seed in range(EDITS):
        edited(stages, SENTENCES[seed % len(SENTENCES)], seed)
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() == before
