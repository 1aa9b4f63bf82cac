"""Lanes with an adapter in serving: their names, who may ask for them, and what Triton is given for
them."""

from __future__ import annotations

import pytest

from retouch.api.errors import RequestError
from retouch.api.lanes import LANES, is_adapted, precision_of
from retouch.api.request import EditRequest
from retouch.artifacts.tensorrt_plan import rebuild
from retouch.launcher.server import models
from retouch.routing.load_board import LoadReport
from retouch.routing.router import PREFERENCE, adapted, choose
from retouch_export.parts import Stage
from retouch_export.registration import register

LOADED = (*LANES, "bf16-sketch", "fp8-sketch")
STAGE = Stage("denoiser", "instructx")


@pytest.mark.parametrize("lane", ["bf16-sketch", "fp8-a", "fp4-ink-wash-2"])
def test_a_lane_s_name_with_an_adapter_s(lane):
    assert is_adapted(lane) and precision_of(lane) == lane[: lane.index("-")] in LANES
    assert EditRequest(b"x", "make it blue", precision=lane).validate().precision == lane


@pytest.mark.parametrize(
    "lane",
    [
        "bf16",
        "auto",
        "bf16-",
        "bf16--a",
        "-sketch",
        "int8-sketch",
        "auto-sketch",
        "bf16-Sketch",
        "bf16-a/b",
        "bf16-../x",
        "bf16-a_b",
        "bf16-a\n",
        "bf16-" + "a" * 41,
    ],
)
def test_what_is_none(lane):
    assert not is_adapted(lane)
    if lane not in ("bf16", "auto"):
        with pytest.raises(RequestError, match="is unknown; it must be auto, .* as bf16-sketch"):
            EditRequest(b"x", "make it blue", precision=lane).validate()


@pytest.mark.parametrize("policy", PREFERENCE)
def test_no_policy_takes_one(policy):
    """However idle they are; and where nothing else is loaded, the policy is refused."""
    reports = {lane: LoadReport(0, 0, 10, 1e-6 if "-" in lane else 10.0) for lane in LOADED}
    assert choose(policy, LOADED, reports=reports).lane in LANES
    with pytest.raises(
        RequestError,
        match=f"PRECISION {policy} is not loaded on this server; loaded are bf16-sketch",
    ):
        choose(policy, ("bf16-sketch",))


def test_one_serves_those_that_name_it():
    choice = choose("fp8-sketch", LOADED, 4, deadline_ms=1)
    assert (choice.lane, choice.reason) == ("fp8-sketch", "asked for by name")
    with pytest.raises(
        RequestError,
        match="bf16-ink is not loaded on this server; loaded are bf16, fp8, fp4, bf16-sketch",
    ):
        choose("bf16-ink", LOADED)


@pytest.fixture
def repository(tmp_path):
    """Plain lanes in two precisions, one of them by a link, and artifacts of four models."""
    for lane in ("bf16", "fp8"):
        folder = tmp_path / f"denoiser_{lane}"
        (folder / "configs").mkdir(parents=True)
        (folder / "1").mkdir()
        (folder / "config.pbtxt").write_text(
            f'# denoiser_{lane}\nname: "denoiser_{lane}"\nbackend: "python"\n'
        )
        (folder / "configs/hopper.pbtxt").write_text(f'name: "denoiser_{lane}"\n')
        (folder / "configs/cpu.pbtxt").symlink_to("../config.pbtxt")
    (tmp_path / "denoiser_bf16/1/model.py").write_text("code")
    (tmp_path / "denoiser_fp8/1/model.py").symlink_to("../../denoiser_bf16/1/model.py")
    for lane in ("bf16", "fp8-sketch", "bf16-sketch", "int8-sketch"):
        (tmp_path / f"denoiser_{lane}/1").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"denoiser_{lane}/1/manifest.json").touch()
    return tmp_path


def test_a_lane_is_registered_as_the_plain_one_under_its_name(repository):
    for _ in range(2):  # again over what is there
        register(repository, STAGE, "fp8-sketch")
    lane = repository / "denoiser_fp8-sketch"
    assert (
        lane / "config.pbtxt"
    ).read_text() == '# denoiser_fp8\nname: "denoiser_fp8-sketch"\nbackend: "python"\n'
    assert (lane / "configs/hopper.pbtxt").read_text() == 'name: "denoiser_fp8-sketch"\n'
    assert (lane / "configs/cpu.pbtxt").read_text() == (lane / "config.pbtxt").read_text()
    assert (lane / "1/model.py").read_text() == "code" and (lane / "1/model.py").is_symlink()
    assert models(repository) == ["denoiser_bf16", "denoiser_fp8-sketch"]
    (repository / "denoiser_bf16/configs/hopper.pbtxt").unlink()
    assert models(repository, "hopper") == ["denoiser_fp8-sketch"]


def test_plain_lanes_and_other_repositories_stay_as_they_are(repository, tmp_path):
    before = sorted(repository.rglob("*"))
    register(repository, STAGE, "bf16")
    register(repository, STAGE, "fp4-sketch")
    assert sorted(repository.rglob("*")) == before


def test_lanes_are_found_in_the_repository(repository):
    assert adapted(repository) == ["bf16-sketch", "fp8-sketch"]


def test_how_a_plan_of_one_is_built_again():
    assert rebuild("fp8").endswith("--precision fp8 --tensorrt")
    assert rebuild("fp8-ink-2").endswith(
        "--precision fp8 --lora ADAPTER --lora-name ink-2 --tensorrt"
    )
