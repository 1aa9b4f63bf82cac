"""TensorRT's builder, emulated: a plan is the ONNX file with a header."""

from __future__ import annotations

import json
from typing import Any

import onnx
from onnx import ModelProto
from world import Emulated


class Builder(Emulated):
    def __init__(self, logger: Any):
        self.logger = logger

    def create_network(self, flags: int = 0) -> Any:
        assert flags == 1 << int(self.world.real.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        return self.world.new("INetworkDefinition")

    def create_builder_config(self) -> Any:
        return self.world.new("IBuilderConfig")

    def create_optimization_profile(self) -> Any:
        return self.world.new("IOptimizationProfile")

    def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
        if self.world.fails:
            self.world.complain(self.logger, "[optimizer]\n  no implementation for node 7")
            return None
        for phase, parent, steps in self.world.phases:
            config.progress_monitor.phase_start(phase, parent or None, steps)
            for number in range(steps):
                self.world.steps += 1
                if not config.progress_monitor.step_complete(phase, number):
                    return None
            config.progress_monitor.phase_finish(phase)
        names = {tensor.name for tensor in network.model.graph.input}
        assert config.profiles and all(set(profile.shapes) == names for profile in config.profiles)
        config.cache.blob += b"+"
        flags = self.world.real.BuilderFlag
        stripped = flags.STRIP_PLAN in config.flags_set
        assert stripped == (flags.REFIT_IDENTICAL in config.flags_set)
        header = {
            "version": self.world.version,
            "profiles": [profile.shapes for profile in config.profiles],
            "stripped": stripped,
            "widened": self.world.widened,
            "noise": self.world.noise,
            "milliseconds": self.world.milliseconds,
            "weight_share": self.world.weight_share,
            "detailed": config.profiling_verbosity == self.world.real.ProfilingVerbosity.DETAILED,
        }
        model = network.model
        if stripped:
            model = ModelProto.FromString(model.SerializeToString())
            for tensor in model.graph.initializer:
                if len(tensor.dims) == 2:
                    tensor.raw_data = bytes(len(tensor.raw_data))
        return json.dumps(header).encode() + b"\n" + model.SerializeToString()


class INetworkDefinition(Emulated):
    model: ModelProto


class OnnxParser(Emulated):
    def __init__(self, network: Any, logger: Any):
        self.network = network
        self.errors = []

    def parse_from_file(self, model: str) -> bool:
        try:
            self.network.model = onnx.load(model)
        except Exception as failure:
            self.errors.append(self.world.new("ParserError", str(failure)))
        return not self.errors

    @property
    def num_errors(self) -> int:
        return len(self.errors)

    def get_error(self, index: int) -> Any:
        return self.errors[index]


class ParserError(Emulated):
    def __init__(self, text: str):
        self.text = text

    def desc(self) -> str:
        return self.text


class IOptimizationProfile(Emulated):
    def __init__(self) -> None:
        self.shapes: dict[str, list] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        assert all(a <= b <= c for a, b, c in zip(min, opt, max))
        self.shapes[input] = [list(min), list(opt), list(max)]


class ITimingCache(Emulated):
    def __init__(self, blob: bytes):
        self.blob = blob

    def serialize(self) -> bytes:
        return self.blob


class IBuilderConfig(Emulated):
    def __init__(self) -> None:
        self.flags_set = set()
        self.profiles = []
        self.pools = {}
        self.progress_monitor = self.profiling_verbosity = self.builder_optimization_level = None

    def set_flag(self, flag: Any) -> None:
        self.flags_set.add(flag)

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self.pools[pool] = pool_size

    def add_optimization_profile(self, profile: Any) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
        head = self.world.version.encode()
        return self.world.new("ITimingCache", serialized_timing_cache or head)

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        if not cache.blob.startswith(self.world.version.encode()):
            return False
        self.world.timings.append(cache.blob)
        self.cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self.cache


CLASSES = (
    Builder,
    INetworkDefinition,
    OnnxParser,
    ParserError,
    IOptimizationProfile,
    ITimingCache,
    IBuilderConfig,
)
