"""What an export finds to do: plans of another machine are missing ones, and options that change
nothing are told."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from retouch.artifacts.manifest import ArtifactError, Manifest, publish, read
from retouch.artifacts.tensorrt_plan import Machine, PlanInfo
from retouch_export.export_plan import Settings, Work, holds_another, plans_here
from retouch_export.exporter import Exporter
from retouch_export.parts import Stage

HERE = Machine("NVIDIA H200", (9, 0), "11.4.0.106")
PLAN = PlanInfo("NVIDIA H200", (9, 0), "11.4.0.106", "fp8", [], 100, 90, {"fp8": 3})
STAGE = Stage("denoiser", "instructx")


@pytest.fixture
def here(monkeypatch):
    """Calls this machine by a name; None has no TensorRT."""

    def called(machine):
        module = machine and SimpleNamespace(machine=lambda: machine)
        monkeypatch.setitem(sys.modules, "retouch.backends.tensorrt.engine", module)

    return called


def lane(root, name="fp8", **plans):
    """The version folder of a lane with these plans."""
    folder = STAGE.folder(root, name)
    (folder.parent / ".partial").mkdir(parents=True)
    folder.mkdir()
    publish(
        folder.parent / ".partial",
        folder,
        Manifest(
            "instructx",
            "c" * 64,
            name,
            "bfloat16",
            20,
            plans={graph: plan.to_manifest() for graph, plan in plans.items()},
        ),
    )
    return folder


def test_plans_of_this_machine_are_there(tmp_path, here):
    here(HERE)
    folder = lane(tmp_path, step=PLAN, reference=PLAN)
    assert plans_here(folder, strip=False) and not plans_here(folder, strip=True)


@pytest.mark.parametrize(
    "machine", [replace(HERE, tensorrt="11.5.0.1"), replace(HERE, capability=(10, 0))]
)
def test_plans_of_another_machine_are_missing(tmp_path, here, machine):
    here(machine)
    assert not plans_here(lane(tmp_path, step=PLAN), strip=False)


def test_one_plan_of_another_machine_is_enough(tmp_path, here):
    here(HERE)
    assert not plans_here(
        lane(tmp_path, reference=PLAN, step=replace(PLAN, tensorrt="10.16.1.11")), strip=False
    )


def test_stripped_plans_are_those_asked_for(tmp_path, here):
    here(HERE)
    folder = lane(tmp_path, step=replace(PLAN, stripped=True))
    assert plans_here(folder, strip=True) and plans_here(folder, strip=False)


def test_no_plans_are_there_without_any(tmp_path, here):
    here(HERE)
    assert not plans_here(lane(tmp_path), strip=False)


def test_an_adapters_plan_says_how_it_is_built_again(tmp_path, monkeypatch):
    built = SimpleNamespace(
        WIDER={}, Options=SimpleNamespace, build_plans=lambda *arguments: {"step": PLAN}
    )
    monkeypatch.setitem(sys.modules, "retouch_export.tensorrt", built)
    folder = lane(tmp_path, "fp8-sketch")
    checkpoint = SimpleNamespace(
        adapter=SimpleNamespace(lane=lambda precision: f"{precision}-sketch")
    )
    Exporter(checkpoint, "c" * 64, tmp_path, print).plans(STAGE, "fp8", force=False, strip=False)
    with pytest.raises(
        ArtifactError, match="--precision fp8 --lora ADAPTER --lora-name sketch --tensorrt"
    ):
        PlanInfo.of(read(folder), "step").check(replace(HERE, tensorrt="11.5.0.1"), "step")


@pytest.mark.parametrize(
    "lanes, plans, reported",
    [
        (
            [],
            [],
            [
                "--calibration is not used: no lane fp8 or fp4 is to be calibrated",
                "--strip is not used: no plan is to be built",
                "--force is not used: no plan is to be built",
            ],
        ),
        (
            ["bf16"],
            [(STAGE, "bf16")],
            ["--calibration is not used: no lane fp8 or fp4 is to be calibrated"],
        ),
        (["bf16", "fp8"], [(STAGE, "fp8")], []),
    ],
)
def test_options_that_change_nothing_are_told(tmp_path, lanes, plans, reported):
    work = Work(None, "", tmp_path, [], STAGE, lanes, plans)
    assert work.idle(Settings(calibration=tmp_path, strip=True, force=True)) == reported
    assert work.idle(Settings()) == []


def test_the_export_of_another_checkpoint_is_told_from_ones_own(tmp_path, monkeypatch):
    repository = tmp_path / "repository"
    digests = {"own": "c" * 64, "other": "d" * 64}
    monkeypatch.setattr("retouch_export.export_plan.checkpoint_digest", digests.get)
    assert not holds_another(repository, "own"), "nothing is there"
    lane(repository)
    assert holds_another(repository, "other") and not holds_another(repository, "own")
    damaged = lane(repository, "bf16")
    (damaged / "manifest.json").write_text("{")
    assert not holds_another(repository, "own")
