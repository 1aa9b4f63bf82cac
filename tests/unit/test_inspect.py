"""`retouch inspect` where weights are there: counted by their headers, without torch; and the
arithmetic of what fits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from retouch.api.lanes import LANES
from retouch.launcher.server import ROOT
from retouch_export.memory import MOST, RESERVE, Demand, Sizes, demand
from retouch_export.pipelines import PIPELINES
from retouch_export.sizes import lane_bytes
from retouch_export.summary import summary

CHECKPOINT = ROOT / "checkpoints" / "photo"


def inspected(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "retouch_clients", "inspect", *map(str, arguments)],
        cwd=options.get("cwd", ROOT),
        env={"PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        capture_output=True,
        text=True,
    )


def test_the_shipped_checkpoint():
    """Parameters as stored; bytes as README's table of lanes has them, which an export measured."""
    summarised = summary(CHECKPOINT, hashed=True)
    assert (summarised.pipeline, summarised.family, summarised.steps, summarised.guidance) == (
        "RetouchPipeline",
        "instructx",
        3,
        0,
    )
    parts = {network.name: network for network in summarised.networks}
    assert set(parts) == {
        "connector",
        "meta_queries",
        "parser_heads",
        "text_encoder",
        "transformer",
        "vae",
    }
    for name, network in parts.items():
        (file,) = (CHECKPOINT / name).glob("*.safetensors")
        header = 8 + int.from_bytes(file.read_bytes()[:8], "little")
        assert (
            network.dtypes == {"BF16": network.parameters}
            and file.stat().st_size == header + 2 * network.parameters
        )
    megabytes = {
        lane: round(sum(sizes.values()) / 1e6, 2) for lane, sizes in summarised.lanes.items()
    }
    assert megabytes == {"bf16": 10.05, "fp8": 5.66, "fp4": 4.2}
    assert summarised.missing == []
    assert {fit.side for fit in summarised.fits} == {128} and all(
        fit.whole in (None, MOST) for fit in summarised.fits
    )


def test_the_command(tmp_path):
    done = inspected(CHECKPOINT, "--json", tmp_path / "sizes.json")
    assert done.returncode == 0, done.stderr
    assert "instructx" in done.stdout and "5,025,536" in done.stdout and "5.66 MB" in done.stdout
    assert json.loads((tmp_path / "sizes.json").read_text()) == json.loads(
        json.dumps(summary(CHECKPOINT).to_json())
    )


def test_figures_find_their_folder_or_say_why_not(tmp_path):
    (tmp_path / "file").write_text("")
    done = inspected(CHECKPOINT, "--json", tmp_path / "new" / "sizes.json")
    assert done.returncode == 0 and (tmp_path / "new" / "sizes.json").is_file()
    done = inspected(CHECKPOINT, "--json", tmp_path / "file" / "sizes.json")
    assert (
        done.returncode == 1
        and "Error: cannot write" in done.stderr
        and "Traceback" not in done.stderr
    )


def test_what_is_no_checkpoint_is_one_sentence(tmp_path):
    done = inspected("nothing", cwd=tmp_path)
    assert (done.returncode, done.stderr.strip()) == (1, "Error: there is no nothing")


def test_without_ml_dtypes_the_client_still_starts():
    """It comes with the exporter's packages, not with the client's."""
    missing = "sys.modules['ml_dtypes'] = sys.modules['onnx_ir'] = None"
    code = f"import sys; {missing}; import retouch_clients.command"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_torch_is_loaded_only_where_weights_are_missing():
    code = (
        "import sys; from retouch_export.summary import summary; summary(sys.argv[1]); "
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(CHECKPOINT)], cwd=ROOT, check=True)


def test_a_half_copied_checkpoint_is_described_as_far_as_it_goes(tmp_path):
    (tmp_path / "vae").mkdir()
    index = {
        "_class_name": "FluxKontextPipeline",
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", "Flow"],
        "transformer": ["diffusers", "FluxTransformer2DModel"],
    }
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    summarised = summary(tmp_path)
    assert (
        summarised.networks,
        summarised.lanes,
        summarised.fits,
        summarised.steps,
        summarised.guidance,
    ) == (
        [],
        {},
        [],
        28,
        2.5,
    )
    for message in (
        "lacks vae/config.json",
        "lacks the folder scheduler",
        "lacks the folder transformer",
        "lists no text_encoder, tokenizer, text_encoder_2, tokenizer_2, which a "
        "FluxKontextPipeline has",
    ):
        assert sum(message in sentence for sentence in summarised.missing) == 1, (
            message,
            summarised.missing,
        )
    assert sum("calibration/pairs.jsonl" in sentence for sentence in summarised.optional) == 1
    done = inspected(tmp_path)
    assert done.returncode == 1 and done.stdout.count("missing") == len(summarised.missing)


def test_what_only_narrow_lanes_need_fails_no_inspection(tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(CHECKPOINT, folder, ignore=shutil.ignore_patterns("calibration"))
    done = inspected(folder)
    assert done.returncode == 0 and "optional calibration/pairs.jsonl" in done.stdout


@pytest.mark.parametrize("lost", ["vae", "tokenizer", "transformer"])
def test_a_missing_folder_fails_the_inspection(tmp_path, lost):
    folder = tmp_path / "copy"
    shutil.copytree(CHECKPOINT, folder, ignore=lambda *_: [lost])
    done = inspected(folder, "--json", tmp_path / "figures.json")
    assert done.returncode == 1 and "missing  " in done.stdout
    assert json.loads((tmp_path / "figures.json").read_text())["missing"], (
        "the figures are written all the same"
    )


# -- bytes and what fits, by hand ------------------------------------------------------------------


def test_bytes_of_a_lane():
    """Two single blocks, of which the last stays FP8 in fp4; a modulation; an embedder; a norm and
    a bias."""
    first = "single_transformer_blocks.0"
    last = "single_transformer_blocks.1"
    shapes = {
        "x_embedder.weight": (32, 16),
        "x_embedder.bias": (32,),
        f"{first}.norm.linear.weight": (96, 32),
        f"{first}.proj_mlp.weight": (128, 32),
        f"{last}.proj_mlp.weight": (128, 32),
        f"{first}.attn.norm_q.weight": (16,),
    }
    wide = 2 * (512 + 32 + 16)
    assert lane_bytes(shapes, "bf16") == {"bf16": wide + 2 * (3072 + 4096 + 4096)}
    assert lane_bytes(shapes, "fp8") == {"bf16": wide, "fp8": 3072 + 4096 + 4096}
    assert lane_bytes(shapes, "fp4") == {"bf16": wide, "fp8": 3072 + 4096, "nvfp4": 2048 + 256}


def test_what_an_edit_takes():
    """FLUX.1 at 1024 × 1024 has 512 + 4,096 + 4,096 tokens of width 3,072; klein keeps keys and
    values of 32 blocks."""
    flux = Sizes("FluxTransformer2DModel", 3072, 57)
    kontext = demand(
        PIPELINES["FluxKontextPipeline"], flux, 1024, weights=23.8e9, others=5_000_000_000
    )
    assert kontext.edit == pytest.approx(8704 * 3072 * 2 * 17.3)
    assert kontext.fixed == 23.8e9 + RESERVE
    assert kontext.beside == pytest.approx(10e9 + 1024**2 * 128 * 2 * 6.1)
    klein = demand(
        PIPELINES["Flux2KleinKVPipeline"], Sizes("Flux2Transformer2DModel", 4096, 32), 1024, 18e9, 0
    )
    assert klein.edit == pytest.approx(4608 * 4096 * 2 * 21.8 + 32 * 2 * 4096 * 4096 * 2)


def test_how_many_fit():
    asked = Demand(1024, fixed=10e9, beside=8e9, edit=3e9)
    assert [asked.batch(gigabytes, whole=True) for gigabytes in (17, 20, 21, 30, 1000)] == [
        0,
        0,
        1,
        4,
        MOST,
    ]
    assert asked.batch(30, whole=False) == 6


def test_a_config_that_says_little_has_the_class_s_sizes():
    assert Sizes.of({"_class_name": "FluxTransformer2DModel"}, {}) == Sizes(
        "FluxTransformer2DModel", 3072, 57
    )
    assert Sizes.of(
        {"_class_name": "QwenImageTransformer2DModel", "num_layers": 2},
        {"_class_name": "AutoencoderKLQwenImage", "base_dim": 96},
    ) == Sizes("QwenImageTransformer2DModel", 3072, 2, "AutoencoderKLQwenImage", 96)
    with pytest.raises(
        ValueError, match="the memory of Other and AutoencoderKL has not been counted"
    ):
        Sizes.of({"_class_name": "Other"}, {})


def test_a_gpu_without_fp4_has_no_such_lane():
    fits = summary(CHECKPOINT).fits
    assert {fit.gpu for fit in fits if fit.lane == "fp4" and fit.whole is None} == {"H100", "L40S"}
    assert all(fit.whole is not None for fit in fits if fit.lane != "fp4")
    assert {fit.lane for fit in fits} == set(LANES)
