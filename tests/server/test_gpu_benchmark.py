"""`make gpu` from end to end, tiny and on the CPU: what it measures there means nothing, that it
runs does."""

import json
import os
import subprocess
import sys

import pytest

from retouch.launcher.server import ROOT

SECTIONS = "parts,steps,klein,edit"
WIDE = ("vl_parser vision",)  # parts without layers that fp8 narrows


@pytest.fixture(scope="module")
def hour(tmp_path_factory):
    """What the command printed, the figures of its sections, and the compiler's cache."""
    folder = tmp_path_factory.mktemp("gpu")
    options = ("--tiny", "--sections", SECTIONS, "--json", folder / "out" / "gpu.json")
    cache = folder / "cache"
    done = run("gpu_hour", *options, TORCHINDUCTOR_CACHE_DIR=str(cache))
    assert done.returncode == 0, done.stdout
    sections = json.loads((folder / "out" / "gpu.json").read_text())["sections"]
    assert [(name, section["state"]) for name, section in sections.items()] == [
        (name, "done") for name in SECTIONS.split(",")
    ], done.stdout
    return done.stdout, {name: section["figures"] for name, section in sections.items()}, cache


def run(module, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
        cwd=ROOT,
        text=True,
        timeout=500,
        env={**os.environ, **environment},
        capture_output=True,
    )


def test_every_figure_of_the_steps_is_there(hour):
    text, sections, cache = hour
    figures = sections["steps"]
    assert figures.keys() == {
        "machine",
        "clocks",
        "peak",
        "attention",
        "attention_peak",
        "work",
        "steps",
        "served",
        "fp8_speedup",
    }
    ways = [(row["precision"], row["way"]) for row in figures["steps"]]
    assert ways == [("bf16", "eager"), ("bf16", "compiled"), ("fp8", "eager"), ("fp8", "compiled")]
    steps = figures["steps"]
    assert steps[0]["error"] == 0 and all(row["error"] < 0.05 for row in steps)
    assert all(row["error"] > 0 for row in steps if row["precision"] == "fp8")
    assert any(cache.rglob("*.py")), (
        "compiled: by torch's own kernels, whose sums are those of eager"
    )
    assert figures["fp8_speedup"].keys() == {"eager", "compiled"}
    assert [(row["precision"], row["way"], row["steps"]) for row in figures["served"]] == [
        ("bf16", "compiled", 2),
        ("fp8", "compiled", 2),
    ]
    for row in figures["served"]:  # the server computes what the process beside it does
        assert row["error"] < 1e-3 and row["seconds"]["count"] == 2
        assert row["seconds"]["least"] <= row["seconds"]["median"] <= row["seconds"]["most"]
    assert "say nothing of a GPU" in text


def test_every_part_of_every_checkpoint_is_there(hour):
    _, sections, _ = hour
    figures = sections["parts"]
    assert not figures["failed"]
    rows = {(row["checkpoint"], row["part"], row["precision"]) for row in figures["rows"]}
    parts = {
        "kontext": ("vl_parser clip", "vl_parser t5", "denoiser"),
        "flux2-klein": ("vl_parser", "denoiser reference", "denoiser step"),
        "qwen-image-edit": ("vl_parser vision", "vl_parser language", "denoiser"),
    }
    for checkpoint, names in parts.items():
        for part in (*names, "vae_encoder", "vae_decoder"):
            assert (checkpoint, part, "bf16") in rows
            is_narrow = not part.startswith("vae_") and part not in WIDE
            assert ((checkpoint, part, "fp8") in rows) == is_narrow, part
    for row in figures["rows"]:
        assert row["seconds"]["median"] > 0
        assert row["error"] == 0 if row["precision"] == "bf16" else 0 < row["error"] < 0.3


def test_klein_and_a_whole_edit_are_there(hour):
    _, sections, _ = hour
    assert sections["klein"]["findings"].keys() == {"64", "128"}
    milliseconds = sections["edit"]["milliseconds"]
    assert {"vl_parser", "vae_encoder", "denoiser", "vae_decoder", "total"} <= milliseconds.keys()


def test_without_a_gpu_they_say_so():
    """Each module by its own name, in one process, which imports torch once."""
    code = """
import runpy, sys
for module in sys.argv.pop(1).split(","):
    try:
        runpy.run_module(f"benchmarks.{module}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        print(f"{module}: {end.code}")
"""
    modules = ("gpu_hour", "gpu", "parts")
    done = subprocess.run(
        [sys.executable, "-c", code, ",".join(modules)],
        cwd=ROOT,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(modules), done.stdout
    assert all("finds no GPU here" in line for line in lines)
