"""The export as a command: resumable, and no torch to find out that nothing is to do."""

import shutil
import subprocess
import sys

import onnx

from export.__main__ import main
from export.narrow import bytes_by_tier
from export.parts import PARTS
from export.quantise import linears, quantise
from retouch.manifest import verify
from training.checkpoint import calibration_pairs


def test_second_run_does_nothing_and_loads_no_torch(folder, repository):
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    code = ("import sys; from export.__main__ import main; assert main(sys.argv[1:]) == 0; "
            "assert not {'torch', 'onnxruntime', 'transformers'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code, str(folder), "--repository", str(repository)], check=True)
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*")} == before


def test_a_damaged_part_is_made_again(folder, repository):
    connector = repository / "connector" / "1" / "model.onnx"
    whole = connector.read_bytes()
    connector.write_bytes(whole[: len(whole) // 2])
    assert main([str(folder), "--repository", str(repository)]) == 0
    assert connector.stat().st_size == len(whole)
    assert not list(repository.glob("*/.partial"))


def test_folders_of_the_model_repository(repository):
    assert {path.name for path in repository.iterdir()} == {
        "vl_parser", "connector", "vae_encoder", "vae_decoder", "denoiser_bf16"}
    assert len(PARTS) == 5


def test_narrow_lanes(folder, repository, tmp_path, capsys):
    """On the way that users go: calibrated, quantised, lowered, described; and not again when they are there."""
    lanes = ["--precision", "fp8", "fp4"]
    assert main([str(folder), "--repository", str(repository), *lanes]) == 1
    assert "no calibration/pairs.jsonl" in capsys.readouterr().err
    calibration_pairs(folder / "calibration", count=4)
    assert main([str(folder), "--repository", str(repository), *lanes]) == 0
    told = capsys.readouterr().out
    assert "denoiser_fp8" in told and "nvfp4" in told
    for lane in ("fp8", "fp4"):
        made = repository / f"denoiser_{lane}" / "1"
        assert verify(made).precision == lane
        files = {path.name for path in made.iterdir()}
        assert {"step.onnx", "step.tensorrt.onnx", "reference.onnx", "calibration.json"} <= files
    assert main([str(folder), "--repository", str(repository), *lanes]) == 0
    assert "up to date" in capsys.readouterr().out
    for lane in ("fp8", "fp4"):
        shutil.rmtree(repository / f"denoiser_{lane}")


def test_bytes_by_tier(repository):
    """Nothing is silently left wide: what the policy names BF16 is a small share."""
    model = onnx.load(repository / "denoiser_bf16" / "1" / "step.onnx")
    wide, ranges = bytes_by_tier(model), {linear.module: 1.0 for linear in linears(model)}
    sizes = {lane: bytes_by_tier(quantise(model, lane, ranges)) for lane in ("fp8", "fp4")}
    assert set(wide) == {"bf16"} and set(sizes["fp4"]) == {"bf16", "fp8", "nvfp4"}
    assert sizes["fp8"]["bf16"] == sizes["fp4"]["bf16"] < 0.1 * wide["bf16"]
    assert sum(sizes["fp8"].values()) < 0.6 * wide["bf16"] and sum(sizes["fp4"].values()) < 0.4 * wide["bf16"]


def test_what_is_no_checkpoint_is_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path), "--repository", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "model_index.json" in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()
