"""The runner onnx-cuda on a GPU, against ONNX Runtime on the CPU, on the shipped artifacts."""

import numpy as np
import onnx
import pytest

from beside import SENTENCES, edited, psnr
from retouch.artifacts.manifest import ArtifactError
from retouch.backends import onnx_cuda, onnx_cuda_kernels
from retouch.backends.onnx import OnnxBackend
from retouch.backends.onnx_cuda import OnnxCudaBackend
from retouch.backends.onnx_runtime import onnxruntime
from retouch.launcher.server import REPOSITORY
from retouch.offline.plain_loop import PlainLoop

CONNECTOR = REPOSITORY / "connector" / "1"


def starts():
    try:
        OnnxCudaBackend(CONNECTOR, "model", device="cuda")
    except ArtifactError:
        return False
    return True


pytestmark = pytest.mark.skipif(not starts(), reason="needs a GPU and onnxruntime-gpu")


def test_a_stage_in_float32():
    queries = np.random.default_rng(0).standard_normal(
        [
            dim.dim_value or 1
            for dim in onnx.load(CONNECTOR / "model.onnx").graph.input[0].type.tensor_type.shape.dim
        ],
        np.float32,
    )
    expected = OnnxBackend(CONNECTOR, "model").run(queries=queries)["conditioning"]
    output = OnnxCudaBackend(CONNECTOR, "model").run(queries=queries)["conditioning"]
    assert np.linalg.norm(output - expected) <= 2e-3 * np.linalg.norm(expected)  # TF32


def test_the_same_picture():
    cpu = PlainLoop(REPOSITORY, "bf16")
    gpu = PlainLoop(REPOSITORY, "bf16", OnnxCudaBackend)
    for sentence in SENTENCES:
        assert psnr(edited(gpu, sentence), edited(cpu, sentence)) >= 40


def test_the_provider_has_the_kernels_of_the_list():
    registered = {
        kernel.op_name
        for kernel in onnxruntime.capi._pybind_state.get_all_opkernel_def()
        if kernel.provider == onnx_cuda.CUDA_PROVIDER
        and any("tensor(bfloat16)" in kinds for kinds in kernel.type_constraints.values())
    }
    functions = {"CastLike", "RotaryEmbedding"}  # the runtime expands these where it must
    assert registered >= onnx_cuda_kernels.COMPUTING - functions
