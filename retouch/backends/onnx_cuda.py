"""The backend `onnx-cuda`: a graph on ONNX Runtime's CUDA provider, of the package onnxruntime-gpu.
It needs no plan.

It takes graphs in float32 and bfloat16. Operators without a bfloat16 kernel run in float32 between
casts. It refuses FP8 and FP4: the provider multiplies neither, so such a graph gains nothing.
Convolutions and products of float32 may use TF32, as the provider does by default. Where TensorRT's
libraries are, its provider takes what it can, and builds an engine at the first run of a shape.
No graph was run on a GPU yet; the tests run the same calls on the CPU."""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from retouch.artifacts.adapter_folder import is_matrix
from retouch.artifacts.manifest import FLOAT32, ArtifactError, Manifest, read, verify
from retouch.artifacts.matrices import Matrices
from retouch.backends.base import files_of
from retouch.backends.onnx_device import BFLOAT16, DeviceValue, Input, Place, Providers, new_session
from retouch.backends.onnx_runtime import onnxruntime
from retouch.util import env
from retouch.util.device import CPU, CUDA, Device, parse

CUDA_PROVIDER = "CUDAExecutionProvider"
TENSORRT_PROVIDER = "TensorrtExecutionProvider"
CPU_PROVIDER = "CPUExecutionProvider"
# that the provider of PyPI's onnxruntime-gpu links, and the package of TensorRT's wheel with them
TENSORRT_LIBRARIES = ("libnvinfer.so.10", "libnvonnxparser.so.10")
TENSORRT_PACKAGE = "tensorrt_libs"
ARITHMETIC = (FLOAT32, "bfloat16")
# the folder of a graph's weights, which the runtime cannot know of a graph in memory
WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"

log = logging.getLogger(__name__)


class OnnxCudaBackend:
    """One graph of a folder, checked against the folder's manifest."""

    manifest: Manifest
    workers = 1

    def __init__(self, folder: Path, graph: str, keep: tuple[str, ...] = (), device: str = ""):
        """ArtifactError when the graph is missing, changed or not supported, or the package, the
        driver or the device is missing.

        Outputs in `keep` stay on the device. `device` overrides the environment."""
        folder = Path(folder)
        self.manifest = verify(folder, *files_of(graph, read(folder).files))
        check_arithmetic(self.manifest)
        target = device_of(device or env.DEVICE.get())
        self.batches = target.kind == CUDA
        self._is_wide = self.manifest.arithmetic == FLOAT32
        self._path = folder / f"{graph}.onnx"
        self._place, self._session = _opened(self._path, target, self._is_wide)
        self._branches: frozenset[str] = frozenset()
        # TensorRT's provider builds an engine at the first run of a shape
        self.compiles = self._place.providers[0][0] == TENSORRT_PROVIDER
        self._keep = keep
        self._inputs = {value.name: _element(value.type) for value in self._session.get_inputs()}
        self._outputs = [value.name for value in self._session.get_outputs()]

    def run(self, **inputs: Input | list[Input]) -> dict[str, Input]:
        """The graph's outputs by name, 16-bit numbers as float32. An input that is a list of arrays
        is concatenated along the batch."""
        values = {
            name: self._place.bound(value, self._inputs.get(name, 0))
            for name, value in inputs.items()
            if name in self._branches or not is_matrix(name)
        }
        outputs = self._place.run(self._session, values, self._outputs)
        return {
            name: DeviceValue(value, self._place)
            if name in self._keep
            else self._place.download(value)
            for name, value in zip(self._outputs, outputs)
        }

    def accept_adapters(self) -> None:
        """Open the graph again with branches."""
        if not self._branches:
            self._session, self._branches = _adapted(self._path, self._place, self._is_wide)

    def placed(self, matrices: Matrices) -> dict[str, DeviceValue]:
        """The matrices on the device, in the type of the weights there."""
        is_narrow = self._place.device.kind == CUDA and not self._is_wide
        element = BFLOAT16 if is_narrow else 0
        return {
            name: DeviceValue(self._place.upload(matrix, element), self._place)
            for name, matrix in matrices.items()
        }


def check_arithmetic(manifest: Manifest) -> None:
    """ArtifactError when the graphs have numbers that this backend does not multiply."""
    if manifest.arithmetic not in ARITHMETIC:
        raise ArtifactError(
            f"onnx-cuda runs float32 and bfloat16, and these graphs are {manifest.arithmetic}; "
            "choose the runner tensorrt, or torch for fp8"
        )


def device_of(name: str) -> Device:
    """The device called `name`, by default the first GPU; ArtifactError when this ONNX Runtime has
    no CUDA."""
    try:
        device = parse(name) or Device(CUDA)
    except ValueError as failure:
        raise ArtifactError(str(failure)) from None
    providers = onnxruntime.get_available_providers()
    if device.kind == CUDA and CUDA_PROVIDER not in providers:
        raise ArtifactError(
            "onnx-cuda needs the package onnxruntime-gpu in place of onnxruntime; this ONNX "
            f"Runtime has {', '.join(providers)}" + " alone" * (len(providers) == 1)
        )
    return device


def _opened(path: Path, device: Device, is_wide: bool) -> tuple[Place, Any]:
    """The device with the providers that work there, and the graph's session; ArtifactError."""
    if device.kind == CPU:
        place = Place(device, ((CPU_PROVIDER, ()),))
        return place, _cpu_session(path, is_wide)
    _preload()
    place = Place(device, _cuda(device))
    check_provider(place)
    if _has_tensorrt():
        providers = (_tensorrt(device, is_wide), *place.providers)
        try:
            session = _cuda_session(path, providers, is_wide)
            if TENSORRT_PROVIDER in session.get_providers():
                return place, session
            log.warning("ONNX Runtime cannot start its %s", TENSORRT_PROVIDER)
        except ArtifactError as failure:
            log.warning("TensorRT's provider is not used: %s", failure)
    return place, _cuda_session(path, place.providers, is_wide)


def check_provider(place: Place) -> None:
    """ArtifactError unless the first provider of `place` starts. The runtime itself would go on
    without it."""
    first = place.providers[0][0]
    try:
        providers = place.working_providers()
    except Exception as failure:
        providers = []
        log.debug("%s: %s", first, failure)
    if first not in providers:
        raise ArtifactError(
            f"ONNX Runtime {onnxruntime.__version__} cannot start its {first}: it needs NVIDIA's "
            f"driver, a GPU {place.device}, and CUDA's libraries "
            "(pip install onnxruntime-gpu[cuda,cudnn])"
        )


def _adapted(path: Path, place: Place, is_wide: bool) -> tuple[Any, frozenset[str]]:
    """A session of the graph with branches, and the names of their inputs."""
    from retouch.backends.onnx import serialized, session

    if place.device.kind == CPU:
        model, branches = serialized(path, rounded=True, adapted=True)
        return session(model), branches
    import onnx

    from retouch.backends.onnx_branches import add_branches
    from retouch.backends.onnx_cuda_kernels import lower

    graph = onnx.load(path, load_external_data=False)
    branches = add_branches(graph, typed=True)
    model = (graph if is_wide else lower(graph)).SerializeToString()
    return new_session(model, place.providers, {WEIGHTS_FOLDER: str(path.parent)}), branches


def _cpu_session(path: Path, is_wide: bool) -> Any:
    from retouch.backends.onnx import serialized, session

    return session(str(path) if is_wide else serialized(path, rounded=True)[0])


def _cuda_session(path: Path, providers: Providers, is_wide: bool) -> Any:
    entries = {WEIGHTS_FOLDER: str(path.parent)}
    try:
        if is_wide:
            return new_session(str(path), providers, entries)
        from retouch.backends.onnx_cuda_kernels import load

        return new_session(load(path).SerializeToString(), providers, entries)
    except Exception as failure:
        reason = str(failure).splitlines()[0]
        runtime = f"ONNX Runtime {onnxruntime.__version__}"
        raise ArtifactError(f"{path.name} cannot be loaded by {runtime}: {reason}") from None


def _cuda(device: Device) -> Providers:
    return (
        (
            CUDA_PROVIDER,
            (
                ("device_id", str(device.index)),
                # the default doubles its memory, and searches algorithms at every new shape
                ("arena_extend_strategy", "kSameAsRequested"),
                ("cudnn_conv_algo_search", "HEURISTIC"),
            ),
        ),
        (CPU_PROVIDER, ()),
    )


def _tensorrt(device: Device, is_wide: bool) -> tuple[str, tuple[tuple[str, str], ...]]:
    return (
        TENSORRT_PROVIDER,
        (
            ("device_id", str(device.index)),
            ("trt_bf16_enable", str(int(not is_wide))),
            *_engine_cache(),
        ),
    )


def _engine_cache() -> tuple[tuple[str, str], ...]:
    """The options that keep TensorRT's engines between starts; none where no folder can be made."""
    home = env.CACHE_HOME.get() or str(Path(env.HOME.get(), ".cache"))
    folder = Path(home, "retouch", "tensorrt")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        log.warning("TensorRT's engines are built at every start: %s", failure)
        return ()
    return (
        ("trt_engine_cache_enable", "1"),
        ("trt_engine_cache_path", str(folder)),
        ("trt_timing_cache_enable", "1"),
        ("trt_timing_cache_path", str(folder)),
    )


@cache
def _preload() -> None:
    """Load the CUDA libraries of the packages nvidia-*, which are on no library path."""
    if hasattr(onnxruntime, "preload_dlls"):  # since 1.21
        onnxruntime.preload_dlls()


def _has_tensorrt() -> bool:
    """Whether to use TensorRT's provider: by the environment, or where its library loads."""
    value = env.ORT_TENSORRT.get()
    if value not in ("", "0", "1"):
        raise ArtifactError(f"{env.ORT_TENSORRT.name} is {value!r}; it must be 0 or 1")
    if value == "0" or TENSORRT_PROVIDER not in onnxruntime.get_available_providers():
        return False
    missing = [name for name in TENSORRT_LIBRARIES if not _loads(name)]
    if missing and value:
        raise ArtifactError(
            f"{env.ORT_TENSORRT.name} is 1, and {missing[0]} of TensorRT 10 cannot be loaded; "
            "install tensorrt-cu13 below 11, or set it to 0"
        )
    return not missing


def _loads(library: str) -> bool:
    """Load a library by its name, or from the folder of TensorRT's wheel, which is on no path."""
    spec = find_spec(TENSORRT_PACKAGE)
    folders = (spec.submodule_search_locations or ()) if spec else ()
    for path in (library, *(str(Path(folder, library)) for folder in folders)):
        try:
            ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
            return True
        except OSError:
            continue
    return False


def _element(kind: str) -> int:
    """BFLOAT16, or 0 for a type that numpy has."""
    return BFLOAT16 if kind == "tensor(bfloat16)" else 0
