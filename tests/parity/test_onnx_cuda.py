"""The backend `onnx-cuda` through the same binding calls on the CPU, and its graphs for CUDA."""

from __future__ import annotations

from collections import Counter
from functools import partial

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from retouch.artifacts.manifest import ArtifactError
from retouch.backends import onnx_cuda, onnx_cuda_kernels, onnx_lowering
from retouch.backends.base import backend_of
from retouch.backends.onnx import OnnxBackend, session
from retouch.backends.onnx_cuda import OnnxCudaBackend
from retouch.backends.onnx_device import BFLOAT16, DeviceValue, Place
from retouch.backends.onnx_runtime import onnxruntime
from retouch.engine.adapter_store import NO_ADAPTERS
from retouch.engine.denoiser import Denoiser
from retouch.families.denoise_request import DenoiseRequest
from retouch.launcher.server import ROOT
from retouch.util.device import Device, parse

REPOSITORY = ROOT / "model_repository"
HOST = Place(Device("cpu"), (("CPUExecutionProvider", ()),))
DIMENSIONS = {0: 1, 1: 24}  # of inputs whose sizes are free


@pytest.fixture
def copies(monkeypatch):
    """Counts copies between the host and the device."""
    counts = Counter()
    for name in ("upload", "download"):
        original = getattr(Place, name)

        def counted(place, *arguments, name=name, original=original):
            counts[name] += 1
            return original(place, *arguments)

        monkeypatch.setattr(Place, name, counted)
    return counts


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def inputs_of(folder, graph):
    """Numbers for the inputs of a stage's graph, by the shapes in its file."""
    model = onnx.load(folder / f"{graph}.onnx", load_external_data=False)
    shapes = {
        value.name: [
            dim.dim_value or DIMENSIONS.get(place, 16)
            for place, dim in enumerate(value.type.tensor_type.shape.dim)
        ]
        for value in model.graph.input
    }
    return {name: numbers(*shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("stage", ["connector", "vae_encoder", "vae_decoder"])
def test_a_stage_is_that_of_the_backend_onnx(stage, copies):
    folder = REPOSITORY / stage / "1"
    inputs = inputs_of(folder, "model")
    if stage == "vae_encoder":
        inputs = {"pixels": numbers(1, 3, 32, 48)}
    expected = OnnxBackend(folder, "model").run(**inputs)
    outputs = OnnxCudaBackend(folder, "model", device="cpu").run(**inputs)
    assert outputs.keys() == expected.keys()
    for name, array in outputs.items():
        np.testing.assert_array_equal(array, expected[name])
    assert copies == {"upload": len(inputs), "download": len(outputs)}


def latents_of(settings, seed):
    """Latents of a photo of 4 × 6 cells."""
    patch = settings["patch"]
    return numbers(settings["latent_channels"], 4 * patch, 6 * patch, seed=seed)


def stepped(backend, batch):
    """The denoiser after one step of `batch` edits of photos of their own, and their tokens."""
    denoiser = Denoiser(REPOSITORY / "denoiser_bf16" / "1", backend)
    settings = denoiser.settings
    queries, width = settings["conditioning"]
    conditioning = {
        "prompt_embeds": numbers(queries, width, seed=8),
        "boxes": np.full((settings["slots"], 2, 4), 0.5, np.float32),
    }
    edits = [
        denoiser.begin(
            DenoiseRequest(
                latents_of(settings, edit),
                conditioning,
                np.ones(24, bool),
                seed=edit,
            )
        )
        for edit in range(batch)
    ]
    denoiser.step(edits)
    return denoiser, [edit.tokens for edit in edits]


@pytest.mark.parametrize("batch", [1, 3])
def test_kept_outputs_are_inputs_of_the_next_graph(batch, copies):
    _, expected = stepped(OnnxBackend, batch)
    denoiser, tokens = stepped(partial(OnnxCudaBackend, device="cpu"), batch)
    np.testing.assert_array_equal(tokens, expected)
    graphs = [
        onnx.load(REPOSITORY / "denoiser_bf16" / "1" / f"{name}.onnx", load_external_data=False)
        for name in ("reference", "step")
    ]
    inputs = [len(graph.graph.input) for graph in graphs]
    # k and v never leave the device; the velocity comes down once for all edits
    assert copies == {"upload": batch * inputs[0] + inputs[1] - 2, "download": 1}
    kept = denoiser._encode([latents_of(denoiser.settings, 0)], {}, [], NO_ADAPTERS)
    assert all(isinstance(value, DeviceValue) for value in kept.values())
    array = np.asarray(kept["k"])
    assert (array.shape, array.nbytes) == (kept["k"].shape, kept["k"].nbytes)
    assert copies["download"] == 2


def test_arrays_of_the_host_are_joined_there(copies):
    folder = REPOSITORY / "connector" / "1"
    rows = list(inputs_of(folder, "model").values())[0]
    backend = OnnxCudaBackend(folder, "model", device="cpu")
    joined = backend.run(queries=[rows, rows])["conditioning"]
    alone = backend.run(queries=np.concatenate([rows, rows]))["conditioning"]
    np.testing.assert_array_equal(joined, alone)
    assert copies["upload"] == 2


def test_bfloat16_on_the_device():
    array = numbers(2, 3, 5)
    rounded = array.astype(ml_dtypes.bfloat16).astype(np.float32)
    value = HOST.upload(array, BFLOAT16)
    assert value.element_type() == BFLOAT16
    np.testing.assert_array_equal(HOST.download(value), rounded)
    device_value = DeviceValue(value, HOST)
    assert device_value.nbytes == 2 * array.size and device_value.shape == (2, 3, 5)
    mixed = HOST.bound([device_value, array, device_value], BFLOAT16)
    np.testing.assert_array_equal(HOST.download(mixed), np.concatenate([rounded] * 3))


# -- what is missing -------------------------------------------------------------------------------


def opened(**options):
    return OnnxCudaBackend(REPOSITORY / "connector" / "1", "model", **options)


def test_the_package_is_missing(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(
        ArtifactError,
        match="needs the package onnxruntime-gpu in place of onnxruntime; this ONNX Runtime has "
        "CPUExecutionProvider alone",
    ):
        opened(device="cuda")


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="onnxruntime-gpu"
)
def test_the_driver_is_missing(monkeypatch):
    """The runtime goes on with its CPU provider then, and only its list of providers shows it."""
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    with (
        pytest.warns(UserWarning, match="not in available provider names"),
        pytest.raises(
            ArtifactError, match="cannot start its CUDAExecutionProvider: it needs NVIDIA's driver"
        ),
    ):
        opened(device="cuda:0")


def test_the_device_is_no_device(monkeypatch):
    monkeypatch.setenv("RETOUCH_DEVICE", "gpu0")
    with pytest.raises(ArtifactError, match="RETOUCH_DEVICE is 'gpu0'; it must be cpu, cuda or"):
        opened()


def test_narrow_graphs_are_refused():
    with pytest.raises(ArtifactError, match="these graphs are E4M3, bfloat16; choose"):
        OnnxCudaBackend(REPOSITORY / "denoiser_fp8" / "1", "step", device="cpu")


def test_tensorrt_by_the_environment(monkeypatch):
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: [onnx_cuda.TENSORRT_PROVIDER]
    )
    monkeypatch.setattr(onnx_cuda, "TENSORRT_LIBRARIES", ("libmissing.so",))
    assert not onnx_cuda._has_tensorrt()
    monkeypatch.setenv("RETOUCH_ORT_TENSORRT", "1")
    with pytest.raises(ArtifactError, match="libmissing.so of TensorRT 10 cannot be loaded"):
        onnx_cuda._has_tensorrt()
    monkeypatch.setenv("RETOUCH_ORT_TENSORRT", "yes")
    with pytest.raises(ArtifactError, match="must be 0 or 1"):
        onnx_cuda._has_tensorrt()
    monkeypatch.setenv("RETOUCH_ORT_TENSORRT", "0")
    assert not onnx_cuda._has_tensorrt()
    monkeypatch.setattr(onnx_cuda, "TENSORRT_LIBRARIES", ("libc.so.6",))
    monkeypatch.setenv("RETOUCH_ORT_TENSORRT", "")
    assert onnx_cuda._has_tensorrt()


def test_tensorrt_in_the_folder_of_its_wheel(tmp_path, monkeypatch):
    package = tmp_path / "libraries_of_a_wheel"
    package.mkdir()
    (package / "__init__.py").touch()
    # any library will do: a compiled module
    (package / "libother.so.10").symlink_to(np.core._multiarray_umath.__file__)
    assert not onnx_cuda._loads("libother.so.10")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(onnx_cuda, "TENSORRT_PACKAGE", package.name)
    assert onnx_cuda._loads("libother.so.10")


def test_engines_are_kept_where_a_folder_can_be_made(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = dict(onnx_cuda._tensorrt(Device("cuda", 2), is_wide=False)[1])
    folder = tmp_path / "cache" / "retouch" / "tensorrt"
    assert folder.is_dir() and options["trt_engine_cache_path"] == str(folder)
    assert (options["device_id"], options["trt_bf16_enable"]) == ("2", "1")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    wide = dict(onnx_cuda._tensorrt(Device("cuda"), is_wide=True)[1])
    assert wide == {"device_id": "0", "trt_bf16_enable": "0"}


def test_devices():
    assert (parse(""), str(parse("cpu")), str(parse("cuda")), str(parse("cuda:3"))) == (
        None,
        "cpu",
        "cuda:0",
        "cuda:3",
    )
    for name in ("cuda:", "cuda:-1", "CPU", "cuda:1:2", "mps"):
        with pytest.raises(ValueError, match="it must be cpu, cuda"):
            parse(name)


def test_the_runner_has_its_name():
    assert backend_of("onnx-cuda") is OnnxCudaBackend


# -- graphs for CUDA -------------------------------------------------------------------------------


def narrow_graph():
    """y = resize(pad((x · w) ** 2)), in bfloat16."""

    def constant(name, array, kind):
        return helper.make_tensor(name, kind, array.shape, array.reshape(-1).tolist())

    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Pow", ["product", "two"], ["power"]),
        helper.make_node("Pad", ["power", "pads"], ["padded"]),
        helper.make_node("Resize", ["padded", "", "scales"], ["y"], mode="nearest"),
    ]
    initializers = [
        constant("w", numbers(4, 4, seed=1), BFLOAT16),
        constant("two", np.array(2.0), BFLOAT16),
        constant("pads", np.array([0, 0, 1, 0, 0, 1]), TensorProto.INT64),
        constant("scales", np.array([1.0, 2.0, 2.0]), TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "narrow",
        [helper.make_tensor_value_info("x", BFLOAT16, ["batch", 3, 4])],
        [helper.make_tensor_value_info("y", BFLOAT16, None)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def on_the_cpu(model, **inputs):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return session(onnx_lowering.lower(copy).SerializeToString()).run(None, inputs)[0]


def test_operators_without_a_kernel_run_in_float32():
    model = narrow_graph()
    assert set(onnx_cuda_kernels.lacking(model)) == {"Pow", "Pad", "Resize"}
    lowered = onnx_cuda_kernels.lower(model)
    onnx.checker.check_model(lowered)
    assert onnx_cuda_kernels.lacking(lowered) == {}
    kinds = [node.op_type for node in lowered.graph.node]
    assert Counter(kinds) == {"MatMul": 1, "Pow": 1, "Pad": 1, "Resize": 1, "Cast": 7}
    for before, after in (
        (model.graph.input, lowered.graph.input),
        (model.graph.output, lowered.graph.output),
    ):
        assert [value.type.tensor_type.elem_type for value in after] == [
            value.type.tensor_type.elem_type for value in before
        ]
    x = numbers(2, 3, 4)
    typed = onnx_cuda_kernels.types(model)  # by which every bfloat16 result is rounded
    np.testing.assert_array_equal(on_the_cpu(lowered, x=x), on_the_cpu(typed, x=x))


@pytest.mark.parametrize("graph", ["reference", "step"])
def test_the_shipped_denoiser_for_cuda(graph):
    path = REPOSITORY / "denoiser_bf16" / "1" / f"{graph}.onnx"
    original = onnx.load(path, load_external_data=False)
    lowered = onnx_cuda_kernels.load(path)
    assert onnx_cuda_kernels.lacking(lowered) == {}
    # the weights stay in their file, in bfloat16
    assert list(lowered.graph.initializer) == list(original.graph.initializer)


def test_weights_beside_a_graph_in_memory(tmp_path):
    """The option by which the runtime finds the weights of a graph that was changed in memory."""
    model = narrow_graph()
    wide = onnx_lowering.lower(model).SerializeToString()
    onnx.save(
        onnx.load_from_string(wide),
        tmp_path / "g.onnx",
        save_as_external_data=True,
        location="weights",
        size_threshold=0,
    )
    bare = onnx.load(tmp_path / "g.onnx", load_external_data=False)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(onnx_cuda.WEIGHTS_FOLDER, str(tmp_path))
    loaded = onnxruntime.InferenceSession(
        bare.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    x = numbers(1, 3, 4)
    np.testing.assert_array_equal(
        loaded.run(None, {"x": x})[0], session(wide).run(None, {"x": x})[0]
    )


class Session:
    """Stands in for a session on a GPU."""

    def __init__(self, providers):
        self._providers = providers

    def get_providers(self):
        return self._providers


@pytest.mark.parametrize("state", ["starts", "is passed over", "fails"])
def test_tensorrt_s_provider_comes_first_where_it_works(tmp_path, monkeypatch, caplog, state):
    """Joins and casts never run by it: it would build an engine for every shape."""
    asked = []

    def opened(path, providers, is_wide):
        names = [name for name, _ in providers]
        asked.append(names)
        if onnx_cuda.TENSORRT_PROVIDER in names and state == "fails":
            raise ArtifactError("no shape inference")
        return Session(names if state == "starts" else [names[-2], names[-1]])

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(onnx_cuda, "check_provider", lambda place: None)
    monkeypatch.setattr(onnx_cuda, "_has_tensorrt", lambda: True)
    monkeypatch.setattr(onnx_cuda, "_cuda_session", opened)
    with caplog.at_level("WARNING", logger="retouch"):
        place, session = onnx_cuda._opened(tmp_path, Device("cuda", 1), is_wide=True)
    cuda = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert [name for name, _ in place.providers] == cuda
    assert asked[0] == ["TensorrtExecutionProvider", *cuda]
    assert asked[1:] == ([] if state == "starts" else [cuda])
    assert session.get_providers() == asked[-1]
    assert bool(caplog.records) == (state != "starts")
    assert dict(dict(place.providers)["CUDAExecutionProvider"])["device_id"] == "1"
