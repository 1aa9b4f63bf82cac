"""The export as a command: resumable, all lanes, and no torch to find out that nothing is to do."""

import json
import shutil
import subprocess
import sys

import onnx_ir as ir
import pytest

from exports import exported, refused
from retouch.artifacts.manifest import verify
from retouch_export.parts import STAGES
from retouch_export.quantise import bytes_by_tier
from shape_pairs import calibration_pairs


def test_second_run_does_nothing_and_loads_no_torch(folder, repository):
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    code = (
        "import sys; from retouch_export.command import export; export(sys.argv[1:], "
        "standalone_mode=False); "
        "assert not {'torch', 'onnxruntime', 'transformers'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(folder), "--repository", str(repository)], check=True
    )
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*")} == before


def test_a_damaged_part_is_made_again(folder, repository):
    connector = repository / "connector" / "1" / "model.onnx"
    whole = connector.read_bytes()
    connector.write_bytes(whole[: len(whole) // 2])
    exported(folder, "--repository", repository)
    assert connector.stat().st_size == len(whole)
    assert not list(repository.glob("*/.partial"))


def test_manifests_say_what_stages_read_and_no_more(repository):
    stages = {
        "connector": {"queries"},
        "vae_encoder": set(),
        "vae_decoder": {"factor"},
    }
    for stage, read_by_stage in stages.items():
        settings = verify(repository / stage / "1").settings
        assert settings.keys() == read_by_stage | {"passes", "networks"}  # a backend reads those
    assert "max_steps" not in verify(repository / "denoiser_bf16" / "1").settings


def test_folders_of_the_model_repository(repository):
    assert {path.name for path in repository.iterdir()} == {
        "vl_parser",
        "connector",
        "vae_encoder",
        "vae_decoder",
        "denoiser_bf16",
    }
    assert len(STAGES) == 5


def test_narrow_lanes(folder, repository):
    """On the way that users go: calibrated, quantised, described; and not again when they are
    there."""
    asked = folder, "--repository", repository, "--precision", "fp8,fp4"
    assert "no calibration/pairs.jsonl" in refused(*asked)
    calibration_pairs(folder / "calibration", count=4)
    output = exported(*asked)
    assert "denoiser_fp8" in output and "nvfp4" in output
    for lane in ("fp8", "fp4"):
        made = repository / f"denoiser_{lane}" / "1"
        manifest = verify(made)
        assert manifest.precision == lane
        assert manifest.weights == bytes_by_tier(ir.load(made / "step.onnx"))
        files = {path.name for path in made.iterdir()}
        assert files == {
            "step.onnx",
            "step.onnx.data",
            "reference.onnx",
            "reference.onnx.data",
            "calibration.json",
            "preview.npz",
            "manifest.json",
        }
    assert recipes(repository) == {"fp8": None, "fp4": {"rounding": "feedback", "tail": 1}}
    assert "up to date" in exported(*asked)
    ranges = repository / "denoiser_fp8" / "1" / "calibration.json"
    kept = shutil.copy(ranges, repository.parent / "ranges.json")
    assert "up to date" in exported(
        *asked, "--calibration", kept
    )  # they are those that it was made with
    wider = {
        graph: {module: 2 * largest for module, largest in ranges_of.items()}
        for graph, ranges_of in json.loads(kept.read_text()).items()
    }
    (repository.parent / "wider.json").write_text(json.dumps(wider))
    output = exported(
        folder,
        "--repository",
        repository,
        "--precision",
        "fp8",
        "--calibration",
        repository.parent / "wider.json",
    )
    assert (
        "denoiser_fp8" in output
        and "denoiser_fp4" not in output
        and json.loads(ranges.read_text()) == wider
    )
    shutil.rmtree(folder / "calibration")
    for lane in ("fp8", "fp4"):
        shutil.rmtree(repository / f"denoiser_{lane}")
    exported(*asked, "--calibration", kept)
    assert ranges.read_text() == kept.read_text()
    assert recipes(repository) == {"fp8": None, "fp4": {"rounding": "search", "tail": 1}}
    for lane in ("fp8", "fp4"):
        shutil.rmtree(repository / f"denoiser_{lane}")


def recipes(repository):
    """By what lanes were made, as their manifests have it."""
    return {
        lane: verify(repository / f"denoiser_{lane}" / "1").settings.get("recipe")
        for lane in ("fp8", "fp4")
    }


def test_nothing_is_silently_left_wide(repository, folder, tmp_path):
    """What the policy names BF16 is a small share; a graph without weights has the same sizes."""
    output = exported(folder, "--repository", tmp_path, "--precision", "fp8,fp4", "--weightless")
    assert (
        "denoiser_fp4" in output
        and not list(tmp_path.rglob("*.data"))
        and not list(tmp_path.rglob("manifest.json"))
    )
    sizes = {
        lane: bytes_by_tier(ir.load(tmp_path / f"denoiser_{lane}" / "1" / "step.onnx"))
        for lane in ("bf16", "fp8", "fp4")
    }
    assert sizes["bf16"] == verify(repository / "denoiser_bf16" / "1").weights
    assert set(sizes["bf16"]) == {"bf16"} and set(sizes["fp4"]) == {"bf16", "fp8", "nvfp4"}
    wide = sizes["bf16"]["bf16"]
    assert sizes["fp8"]["bf16"] == sizes["fp4"]["bf16"] < 0.15 * wide
    # what lies beside a token makes its embedding, which stays wide, an eighth of all weights
    assert sum(sizes["fp8"].values()) < 0.6 * wide and sum(sizes["fp4"].values()) < 0.45 * wide


def test_graphs_without_weights_do_not_replace_what_is_served(repository, folder):
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    error = refused(folder, "--repository", repository, "--weightless")
    assert "denoiser_bf16" in error and "--repository" in error
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*")} == before


def test_without_tensorrt_its_plans_are_one_sentence(folder, repository):
    error = refused(folder, "--repository", repository, "--tensorrt")
    assert "the TensorRT runner needs" in error and "pip install" in error
    assert verify(repository / "denoiser_bf16" / "1").plans == {}


def test_what_is_no_checkpoint_is_one_sentence(tmp_path):
    assert "model_index.json" in refused(tmp_path, "--repository", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture()
def broken(folder, tmp_path):
    """A copy of the checkpoint to damage."""
    return shutil.copytree(folder, tmp_path / "broken")


WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


def cut(checkpoint):
    file = checkpoint / WEIGHTS
    file.write_bytes(file.read_bytes()[:-1000])


def empty(checkpoint):
    (checkpoint / WEIGHTS).write_bytes(b"")


def other_file(checkpoint):
    (checkpoint / WEIGHTS).write_bytes(b"\x10\0\0\0\0\0\0\0" + b"no header at all")


def missing(checkpoint):
    (checkpoint / WEIGHTS).unlink()


def other_network(checkpoint):
    config = checkpoint / "transformer/config.json"
    config.write_text(
        config.read_text().replace('"num_single_layers": 4', '"num_single_layers": 5')
    )


def other_size(checkpoint):
    config = checkpoint / "transformer/config.json"
    config.write_text(config.read_text().replace('"mlp_ratio": 3.0', '"mlp_ratio": 2.0'))


def damaged_config(checkpoint):
    (checkpoint / "transformer/config.json").write_text("{")


@pytest.mark.parametrize(
    "damage, message",
    [
        (cut, "cut short: it has"),
        (empty, "cut short or no safetensors file"),
        (other_file, "no safetensors file"),
        (missing, "lacks transformer/diffusion_pytorch_model.safetensors"),
        (other_network, "lacks single_transformer_blocks.4"),
        (other_size, "has shape [1152, 192] in the checkpoint and [768, 192]"),
        (damaged_config, "config.json of the checkpoint is damaged"),
    ],
)
def test_a_broken_checkpoint_is_one_sentence_and_leaves_nothing(broken, tmp_path, damage, message):
    before = (broken / "transformer/config.json").read_text(), (broken / WEIGHTS).read_bytes()
    damage(broken)
    now = broken / "transformer/config.json", broken / WEIGHTS
    assert (now[0].read_text(), now[1].read_bytes() if now[1].exists() else b"") != before
    assert message in refused(broken, "--repository", tmp_path / "out", "--only", "denoiser")
    assert not [
        path for path in (tmp_path / "out").rglob("*") if path.is_file() or path.name == ".partial"
    ]


@pytest.mark.parametrize("text", ["", "[]", "[1]", '{"step": 3}', '{"step": {"x": "y"}}'])
def test_a_damaged_calibration_is_one_sentence(folder, repository, tmp_path, text):
    (tmp_path / "ranges.json").write_text(text)
    error = refused(
        folder,
        "--repository",
        repository,
        "--precision",
        "fp8",
        "--calibration",
        tmp_path / "ranges.json",
    )
    assert "ranges.json is no calibration" in error or "no range for" in error
    assert not (repository / "denoiser_fp8").exists()
