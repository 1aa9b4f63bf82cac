"""A profile on a machine where some lanes cannot run: they are left out, and the others serve."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from gpu_machines import A100, FULL, MIB, without
from graph_folders import add, add_typed, configured
from retouch.launcher import server as server_module
from retouch.launcher.lane_checks import leave_out_lanes
from retouch.launcher.repository import without as names_without
from retouch.launcher.server import Server, ServerError
from retouch.launcher.write_profiles import ON_GPU

OLDER = replace(FULL, gpus=(A100,))
FP8 = "E4M3, bfloat16"
MODELS = ["denoiser_bf16", "denoiser_fp8", "edit_ensemble", "vl_parser"]


@pytest.fixture
def repository(tmp_path):
    """Two lanes without plans, and a parser with graphs for both."""
    add(tmp_path, "denoiser_bf16", {"step": MIB}, "bfloat16")
    add(tmp_path, "denoiser_fp8", {"step": MIB}, FP8)
    add(tmp_path, "vl_parser", {"language": MIB}, "float32")
    for precision, arithmetic in (("bf16", "bfloat16"), ("fp8", FP8)):
        add_typed(tmp_path, "vl_parser", precision, {"language": MIB}, arithmetic)
    (tmp_path / "edit_ensemble").mkdir()
    (tmp_path / "edit_ensemble" / "config.pbtxt").write_text('  model_name: "denoiser_bf16"\n')
    configure(tmp_path, "auto")
    return tmp_path


def configure(repository, runner):
    """Let every model with graphs run by `runner` in the profile `test`."""
    by_lane = 'parameters { key: "precision"  value { string_value: "bf16:auto,fp8:auto" } }\n'
    for model in ("denoiser_bf16", "denoiser_fp8", "vl_parser"):
        text = configured(runner, ON_GPU) + by_lane * (model == "vl_parser")
        (repository / model / "configs" / "test.pbtxt").write_text(text)


def test_a_machine_without_fp8_serves_the_wide_lane(repository, caplog):
    with caplog.at_level(logging.WARNING):
        assert leave_out_lanes(repository, "test", MODELS, OLDER) == {"denoiser_fp8"}
    (line,) = caplog.messages
    assert line.startswith("the lane fp8 is left out: no runner can run denoiser_fp8 here: ")
    assert "torch: NVIDIA A100 does not multiply FP8" in line and "\n" not in line


def test_a_machine_that_runs_every_lane_leaves_none_out(repository, caplog):
    assert leave_out_lanes(repository, "test", MODELS, FULL) == set()
    assert caplog.messages == []


def test_a_lane_needs_its_parser_too(repository, caplog):
    """The denoiser runs in float32 here, and only the parser's graphs are FP8."""
    manifest = repository / "denoiser_fp8" / "1" / "manifest.json"
    manifest.write_text(manifest.read_text().replace(FP8, "float32"))
    assert leave_out_lanes(repository, "test", MODELS, OLDER) == {"denoiser_fp8"}
    assert "no runner can run vl_parser/fp8 here" in caplog.text


def test_a_runner_that_is_asked_for_by_name_is_not_left_out(repository):
    configure(repository, "torch")
    assert leave_out_lanes(repository, "test", MODELS, OLDER) == set()


def test_an_ensemble_goes_with_its_denoiser(repository):
    assert names_without(repository, MODELS, {"denoiser_bf16"}) == ["denoiser_fp8", "vl_parser"]
    assert names_without(repository, MODELS, {"denoiser_fp8"}) == [
        "denoiser_bf16",
        "edit_ensemble",
        "vl_parser",
    ]


@pytest.fixture
def server(repository, monkeypatch, tmp_path):
    monkeypatch.setattr(server_module.preflight, "check_gpu", lambda parts, profile: None)
    return Server(repository, profile="test", log=tmp_path / "server.log")


def test_the_server_starts_without_the_lane(server, monkeypatch):
    monkeypatch.setattr(server_module, "gpu_machine", lambda: OLDER)
    server.check()
    assert server.names == ["denoiser_bf16", "edit_ensemble", "vl_parser"]
    assert [part.name for part in server.parts if part.model == "vl_parser"] == ["vl_parser/bf16"]


def test_without_any_lane_the_server_is_refused(server, monkeypatch):
    monkeypatch.setattr(
        server_module, "gpu_machine", lambda: without("tensorrt", "onnxruntime-gpu", "torch")
    )
    with pytest.raises(ServerError, match="no runner can run denoiser_bf16 here: tensorrt: "):
        server.check()
