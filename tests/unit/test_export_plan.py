"""What an export finds to do: plans of another machine are missing ones, and options that change
nothing are told."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from retouch.artifacts.manifest import ArtifactError, Manifest, publish, read
from retouch.artifacts.tensorrt_plan import Machine, PlanInfo
from retouch_export import export_planner
from retouch_export.export_plan import Settings, Work, holds_another, plans_here
from retouch_export.export_planner import ExportRequest, plan_export
from retouch_export.exporter import Exporter
from retouch_export.parts import Stage, TypedStage

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


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """A function that plans an export of a checkpoint into an empty repository."""
    monkeypatch.setattr(export_planner, "check", lambda *arguments, **options: None)
    monkeypatch.setattr(export_planner, "checkpoint_digest", lambda *arguments: "c" * 64)
    monkeypatch.setattr(
        export_planner, "Checkpoint", lambda *arguments: SimpleNamespace(family="instructx")
    )

    def plan(lanes, parts=(), only=None, tensorrt=True):
        request = ExportRequest(tmp_path, tmp_path, lanes, only, tensorrt, parts=parts)
        return plan_export(request, Settings())

    return plan


def names(work):
    return [f"{stage.name} {precision}" for stage, precision in work.plans]


def test_plans_of_parts_and_lanes_come_wider_before_narrower(planned):
    assert names(planned(["fp8", "bf16"], ["fp8", "bf16"])) == [
        "vl_parser bf16",
        "vl_parser fp8",
        "connector bf16",
        "connector fp8",
        "vae_encoder bf16",
        "vae_decoder bf16",
        "denoiser bf16",
        "denoiser fp8",
    ]
    assert names(planned(["bf16"])) == ["denoiser bf16"]
    assert not planned(["bf16"], ["bf16"], tensorrt=False).plans


def test_an_autoencoder_has_its_plans_beside_any_precision(planned):
    plans = names(planned(["fp8"], ["fp8"]))
    assert plans[:2] == ["vl_parser fp8", "connector fp8"]
    assert {"vae_encoder bf16", "vae_decoder bf16"} < set(plans)


def test_one_part_alone(planned):
    assert names(planned(["bf16"], ["bf16", "fp8"], only="vl_parser")) == [
        "vl_parser bf16",
        "vl_parser fp8",
    ]
    assert names(planned(["bf16"], ["bf16"], only="denoiser")) == ["denoiser bf16"]


@pytest.mark.parametrize("plans, is_missing", [({}, True), ({"model": PLAN}, False)])
def test_exported_parts_need_plans_that_run_here(
    planned, here, tmp_path, monkeypatch, plans, is_missing
):
    monkeypatch.setattr(export_planner, "why_stale", lambda *arguments: None)
    here(HERE)
    for stage, files in (("connector", {"model.onnx": ""}), ("vl_parser", {})):
        folder = TypedStage(stage, "instructx").folder(tmp_path, "fp8")
        folder.mkdir(parents=True)
        entries = {graph: plan.to_manifest() for graph, plan in plans.items()}
        manifest = Manifest("instructx", "c" * 64, "fp8", "E4M3, bfloat16", 20, plans=entries)
        manifest.files = files
        (folder / "manifest.json").write_text(json.dumps(asdict(manifest)))
    assert ("connector fp8" in names(planned([], ["fp8"], only="connector"))) == is_missing
    assert not planned([], ["fp8"], only="vl_parser").plans, "it has no graphs"


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
