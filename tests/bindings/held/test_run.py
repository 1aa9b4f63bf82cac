"""The runner, end to end on an emulated GPU: what it computes, what it copies, what it keeps, and
what it refuses."""

from __future__ import annotations

import gc
import json

import ml_dtypes
import numpy as np
import pytest
from lane import CELLS, TABLE, export, inputs

from retouch.artifacts.manifest import NAME, ArtifactError
from retouch.backends.tensorrt.arena import ARENA
from retouch.backends.tensorrt.backend import TensorRTBackend
from retouch.backends.tensorrt.cuda import CudaError, DeviceArray
from retouch.backends.tensorrt.engine import Engine
from retouch.backends.tensorrt.executor import Executor
from retouch_export.tensorrt import lowered as truth


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export(tmp_path_factory.mktemp("lanes"), "bf16")


@pytest.fixture(autouse=True)
def nothing_is_left(device, world, folder):
    """Every test gives back what it took."""
    yield
    gc.collect()
    assert (device.memory, device.streams, device.graphs, device.events, world.alive) == (
        {},
        {},
        {},
        {},
        0,
    )


@pytest.fixture
def step(folder, nothing_is_left):
    with TensorRTBackend(folder, "step") as runner:
        yield runner


def expected_velocity(folder, step_inputs):
    """What ONNX Runtime computes from inputs rounded as the graph's own types round them."""
    rounded = {
        **step_inputs,
        "k": np.asarray(step_inputs["k"]).astype(ml_dtypes.bfloat16).astype(np.float32),
    }
    return truth(folder / "step.onnx")(rounded)["velocity"]


@pytest.mark.parametrize(
    "batch, region, cells", [(1, 5, 8), (1, 8, 8), (1, 1, 6), (3, 5, 8), (4, 6, 6)]
)
def test_it_computes_what_the_graph_does(folder, step, batch, region, cells):
    step_inputs = inputs(batch, region, cells)
    for _ in range(4):  # plain, captured and replayed
        velocity = step.run(**step_inputs)["velocity"]
        assert velocity.dtype == np.float32
        np.testing.assert_array_equal(velocity, expected_velocity(folder, step_inputs))


def test_any_layout_and_type_of_input_is_taken(folder, step):
    step_inputs = inputs(1, 5)
    straight = step.run(**step_inputs)["velocity"]
    turned = {
        **step_inputs,
        "tokens": np.asfortranarray(step_inputs["tokens"].astype(np.float64)),
        "k": step_inputs["k"][:, ::-1].copy()[:, ::-1],
    }
    np.testing.assert_array_equal(step.run(**turned)["velocity"], straight)


def test_the_tightest_profile_is_taken(folder, tmp_path):
    engine = Engine((folder / "step.plan").read_bytes(), "step.plan")

    def profile(batch, region, cells):
        return engine.profile_of(
            {name: values.shape for name, values in inputs(batch, region, cells).items()}
        )

    assert [profile(1, 8, 8), profile(2, 8, 8), profile(1, 2, 6), profile(4, 2, 6)] == [0, 1, 2, 3]
    wide = {"batch": (1, 1, 4), "cells": (6, 6, 8), "region": (1, 6, 8)}
    tight = TABLE[0]
    for table in ([wide, tight], [tight, wide]):
        both = export(tmp_path, "bf16", profiles=table)
        engine = Engine((both / "step.plan").read_bytes(), "step.plan")
        assert table[profile(1, 8, 8)] == tight and table[profile(2, 8, 8)] == wide


def test_the_second_run_is_captured_and_the_next_replayed(device, step):
    launched = []
    for seed in range(4):
        step.run(**inputs(seed=seed))
        launched.append(device.launches)
    assert launched == [0, 1, 2, 3]
    assert len(device.graphs) == 1


def test_ready_shapes_are_bounded(folder, device, world):
    with TensorRTBackend(folder, "step") as runner:
        runner.executor = Executor(runner.executor.engine, most_graphs=3)
        for region in (1, 2, 3, 4, 5, 2, 3):
            for _ in range(2):
                step_inputs = inputs(1, region)
                np.testing.assert_array_equal(
                    runner.run(**step_inputs)["velocity"], expected_velocity(folder, step_inputs)
                )
        gc.collect()
        assert len(device.graphs) == world.alive == 3


def test_shapes_not_used_for_longest_go_first(folder, device):
    with TensorRTBackend(folder, "step") as runner:
        runner.executor = Executor(runner.executor.engine, most_graphs=3)

        def replayed(region):
            before = device.launches
            runner.run(**inputs(1, region))
            return device.launches > before

        for region in (8, 2, 3):
            assert [replayed(region), replayed(region)] == [False, True]
        assert replayed(8)
        assert not replayed(4)  # in place of 2
        assert replayed(8) and replayed(3) and not replayed(2)


def test_kept_outputs_stay_on_the_gpu(folder, device):
    with (
        TensorRTBackend(folder, "reference", keep=("k",)) as look,
        TensorRTBackend(folder, "step") as step,
    ):
        tokens = inputs()["tokens"][:, :1].repeat(CELLS, 1)
        kept = look.run(tokens=tokens)["k"]
        assert isinstance(kept, DeviceArray) and kept.shape == (1, CELLS, 32)
        step_inputs = {**inputs(), "k": kept}
        uploads = device.uploads
        moves = device.moves
        for _ in range(3):
            np.testing.assert_array_equal(
                step.run(**step_inputs)["velocity"], expected_velocity(folder, step_inputs)
            )
        assert device.uploads - uploads == 6  # tokens and timestep, three times
        assert device.moves - moves == 1  # k, once: it lies there still
        other = look.run(tokens=2 * tokens)["k"]
        step_inputs["k"] = other
        np.testing.assert_array_equal(
            step.run(**step_inputs)["velocity"], expected_velocity(folder, step_inputs)
        )
        exact = truth(folder / "reference.onnx")({"tokens": tokens})["k"]
        assert np.asarray(kept).dtype == np.float32
        np.testing.assert_array_equal(
            np.asarray(kept), exact.astype(ml_dtypes.bfloat16).astype(np.float32)
        )
        assert np.asarray(kept, np.float64).dtype == np.float64


def test_rows_are_joined_where_they_are(folder, device):
    """As the denoiser gives edits that share a step: kept keys never leave the GPU."""
    with (
        TensorRTBackend(folder, "reference", keep=("k",)) as look,
        TensorRTBackend(folder, "step") as step,
    ):
        kept = [
            look.run(tokens=(i + 1) * inputs()["tokens"][:, :1].repeat(CELLS, 1))["k"]
            for i in range(3)
        ]
        rows = [{**inputs(seed=i), "k": kept[i]} for i in range(3)]
        alone = [step.run(**row)["velocity"] for row in rows]
        uploads = device.uploads
        moves = device.moves
        for _ in range(2):
            together = step.run(**{name: [row[name] for row in rows] for name in rows[0]})[
                "velocity"
            ]
            np.testing.assert_array_equal(together, np.concatenate(alone))
        assert device.uploads - uploads == 12 and device.moves - moves == 6
        np.testing.assert_array_equal(
            step.run(**{name: [value] for name, value in rows[1].items()})["velocity"], alone[1]
        )


def test_a_kept_array_is_copied_again_after_its_buffer_has_moved(folder, device):
    with (
        TensorRTBackend(folder, "reference", keep=("k",)) as look,
        TensorRTBackend(folder, "step") as step,
    ):
        kept = look.run(tokens=inputs(1, CELLS)["tokens"])["k"]
        step_inputs = {**inputs(), "k": kept}
        step.run(**step_inputs)
        step.run(**inputs(4, 8))  # a larger k
        np.testing.assert_array_equal(
            step.run(**step_inputs)["velocity"], expected_velocity(folder, step_inputs)
        )


def test_a_kept_array_is_copied_again_after_another_took_its_place(folder):
    with (
        TensorRTBackend(folder, "reference", keep=("k",)) as look,
        TensorRTBackend(folder, "step") as step,
    ):
        step_inputs = inputs()
        kept = {**step_inputs, "k": look.run(tokens=inputs(1, CELLS)["tokens"])["k"]}
        for arrays in (kept, step_inputs, kept):
            np.testing.assert_array_equal(
                step.run(**arrays)["velocity"], expected_velocity(folder, arrays)
            )


def test_a_kept_array_is_copied_again_after_its_buffer_was_lost(folder, device):
    with (
        TensorRTBackend(folder, "reference", keep=("k",)) as look,
        TensorRTBackend(folder, "step") as step,
    ):
        kept = {**inputs(1, 1, 6), "k": look.run(tokens=inputs(1, 6)["tokens"])["k"]}
        step.run(**kept)
        device.bytes = sum(map(len, device.memory.values())) + 100
        try:
            with pytest.raises(CudaError):
                step.run(**inputs(1, 1, 8))
        finally:
            device.bytes = 1 << 30
        np.testing.assert_array_equal(step.run(**kept)["velocity"], expected_velocity(folder, kept))


def test_scratch_memory_is_shared_and_grows(folder, device):
    with TensorRTBackend(folder, "step") as first, TensorRTBackend(folder, "step") as second:
        small = inputs(1, 2, 6)
        large = inputs(4, 8, 8)
        for _ in range(3):
            first.run(**small)
        before = ARENA.address
        for _ in range(3):
            second.run(**large)
        assert ARENA.address != before  # what `first` has captured is worth nothing now
        for _ in range(3):
            np.testing.assert_array_equal(
                first.run(**small)["velocity"], expected_velocity(folder, small)
            )
        address = ARENA.address
        second.run(**large)
        assert ARENA.address == address


def test_closing_twice_is_no_error(folder):
    runner = TensorRTBackend(folder, "step")
    runner.run(**inputs())
    runner.close()
    runner.close()


def test_a_runner_nobody_closed_gives_its_memory_back(folder):
    TensorRTBackend(folder, "step").run(**inputs())


def test_shapes_without_a_profile_are_refused(step):
    with pytest.raises(
        ValueError, match=r"other shapes than tokens \[1, 9, 32\].*with a profile for them"
    ):
        step.run(**inputs(1, 9))
    with pytest.raises(ValueError, match="other shapes"):
        step.run(**{**inputs(), "timestep": np.float32(1)})


def test_inputs_must_be_the_graphs(step):
    with pytest.raises(ValueError, match="step.plan takes tokens, timestep, k; it got tokens"):
        step.run(tokens=inputs()["tokens"])


def test_a_gpu_without_room_says_so(folder, device):
    device.bytes = 100
    try:
        full = "asking the GPU for .* MB failed: out of memory"
        with TensorRTBackend(folder, "step") as runner, pytest.raises(CudaError, match=full):
            runner.run(**inputs())
    finally:
        device.bytes = 1 << 30


def test_a_plan_that_cannot_be_captured_runs_plainly(folder, step, device, world, monkeypatch):
    context = world.classes["IExecutionContext"]
    step_inputs = inputs()
    run = context.execute_async_v3
    monkeypatch.setattr(
        context,
        "execute_async_v3",
        lambda self, stream_handle: not device.captures and run(self, stream_handle),
    )
    for _ in range(4):
        np.testing.assert_array_equal(
            step.run(**step_inputs)["velocity"], expected_velocity(folder, step_inputs)
        )
    assert device.launches == 0


def test_a_run_that_fails_says_so(step, world, monkeypatch):
    monkeypatch.setattr(
        world.classes["IExecutionContext"], "execute_async_v3", lambda self, stream_handle: False
    )
    with pytest.raises(RuntimeError, match="TensorRT does not run: "):
        step.run(**inputs())


def test_a_machine_without_a_gpu_is_told_so(folder, device, monkeypatch):
    from device import runtime

    monkeypatch.setattr(
        type(device), "cudaGetDevice", lambda self: (runtime.cudaError_t.cudaErrorNoDevice, 0)
    )
    with pytest.raises(
        ArtifactError, match="needs an NVIDIA GPU and its driver: .* no CUDA-capable device"
    ):
        TensorRTBackend(folder, "step")


# -- plans that must not be run --------------------------------------------------------------------


def refusal(folder, graph="step"):
    with pytest.raises(ArtifactError) as failure:
        TensorRTBackend(folder, graph)
    sentence = str(failure.value)
    assert "\n" not in sentence and str(folder) not in sentence
    return sentence


@pytest.fixture
def copied(folder, tmp_path):
    """The lane in a folder of its own, and a way to change its manifest."""
    target = tmp_path / "denoiser_bf16" / "1"
    target.mkdir(parents=True)
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())

    def change(edit):
        manifest = json.loads((target / NAME).read_text())
        edit(manifest)
        (target / NAME).write_text(json.dumps(manifest))
        return target

    return change


REBUILD = "retouch export CHECKPOINT --precision bf16 --tensorrt"


def test_a_plan_of_another_tensorrt_is_refused(copied, world):
    def edit(manifest):
        manifest["plans"]["step"]["tensorrt"] = "10.15.1.2"

    sentence = refusal(copied(edit))
    assert (
        f"built by TensorRT 10.15.1.2 and this is TensorRT {world.version}" in sentence
        and REBUILD in sentence
    )


def test_a_plan_of_another_gpu_is_refused(folder, device):
    device.name = "NVIDIA L40S"
    device.capability = (8, 9)
    sentence = refusal(folder)
    assert "this is NVIDIA L40S (compute capability 8.9)" in sentence and REBUILD in sentence


def test_a_graph_without_a_plan_is_refused(copied):
    sentence = refusal(copied(lambda manifest: manifest["plans"].pop("step")))
    assert "the bf16 lane has no TensorRT plan of step" in sentence and REBUILD in sentence


def test_damaged_words_on_a_plan_are_refused(copied):
    assert "damaged" in refusal(
        copied(lambda manifest: manifest["plans"].update(step={"gpu": "x"}))
    )


def test_a_plan_cut_short_is_refused(copied):
    folder = copied(lambda manifest: None)
    (folder / "step.plan").write_bytes((folder / "step.plan").read_bytes()[:-1])
    assert "step.plan of denoiser_bf16/1 is not the file its manifest.json describes" in refusal(
        folder
    )


def test_what_tensorrt_does_not_load_is_refused(world):
    with pytest.raises(
        ArtifactError,
        match=f"TensorRT {world.version} does not load step.plan: serialization magic",
    ):
        Engine(b"no plan", "step.plan")
