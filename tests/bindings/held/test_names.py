"""The fakes refuse what the bindings do not have, so that the other tests prove something."""

from __future__ import annotations

import inspect

import pytest
import tensorrt
from checked import signatures

from retouch.backends.tensorrt.cuda import runtime
from retouch.backends.tensorrt.engine import LOG, Log
from retouch_export.tensorrt_builder import Monitor


@pytest.fixture
def builder(world):
    return tensorrt.Builder(LOG)


def test_removed_flags_are_refused_where_they_were_removed(world):
    if world.eleven:
        for name in ("FP8", "BF16", "WEIGHTLESS"):
            with pytest.raises(AttributeError):
                getattr(tensorrt.BuilderFlag, name)
    else:
        assert tensorrt.BuilderFlag.FP8 in tensorrt.BuilderFlag.__members__.values()


def test_the_flag_for_strong_types_has_another_number_in_each_version(world):
    assert int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) == (0 if world.eleven else 1)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda builder: builder.create_netwerk(),
        lambda builder: builder.create_network(flagz=1),
        lambda builder: builder.create_network(1, 2),
        lambda builder: builder.create_network("strong"),
        lambda builder: tensorrt.Builder(),
        lambda builder: tensorrt.Builder("log"),
        lambda builder: tensorrt.OnnxParser(LOG, builder),
        lambda builder: builder.create_builder_config().max_workspace_size,
        lambda builder: setattr(builder.create_builder_config(), "max_workspace_size", 1),
        lambda builder: setattr(builder.create_builder_config(), "num_optimization_profiles", 1),
        lambda builder: setattr(
            builder.create_builder_config(), "builder_optimization_level", "high"
        ),
        lambda builder: setattr(builder.create_builder_config(), "progress_monitor", LOG),
        lambda builder: builder.create_builder_config().set_flag(4),
        lambda builder: builder.create_optimization_profile().set_shape("x", (1,), (1,)),
        lambda builder: builder.create_optimization_profile().set_shape("x", (1,), (1,), 1.5),
        lambda builder: tensorrt.Buidler,
    ],
)
def test_what_is_not_in_the_bindings_is_refused(builder, wrong):
    with pytest.raises((AttributeError, TypeError)):
        wrong(builder)


def test_contexts_without_memory_are_gone_in_11(world, fakes):
    engine = getattr(fakes.real.ICudaEngine, "create_execution_context_without_device_memory", None)
    assert (engine is None) == world.eleven


def test_an_emulation_that_answers_a_wrong_type_is_found_out(builder, world, monkeypatch):
    monkeypatch.setattr(world.classes["Builder"], "create_builder_config", lambda self: 3)
    with pytest.raises(AssertionError):
        builder.create_builder_config()


@pytest.mark.parametrize("ours, real", [(Monitor, "IProgressMonitor"), (Log, "ILogger")])
def test_what_tensorrt_calls_has_its_parameters(fakes, ours, real):
    """Overridden methods take what the bindings pass, by place and by name."""
    base = getattr(fakes.real, real)
    overridden = [name for name in vars(ours) if name in vars(base) and not name.startswith("_")]
    assert overridden
    for name in overridden:
        parameters = [parameter.name for parameter in signatures(getattr(base, name))[0].parameters]
        assert list(inspect.signature(getattr(ours, name)).parameters)[1:] == parameters


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: runtime.cudaMallok(1),
        lambda: runtime.cudaMalloc(),
        lambda: runtime.cudaMalloc("a"),
        lambda: runtime.cudaMemcpyAsync(1, 2, 3, "up", 0),
        lambda: runtime.cudaStreamBeginCapture(0),
        lambda: runtime.cudaMemcpyKind.cudaMemcpyUp,
    ],
)
def test_the_cuda_bindings_are_the_real_ones_too(device, wrong):
    with pytest.raises((AttributeError, TypeError, ValueError)):
        wrong()
