"""`benchmarks/gpu.py` from end to end, tiny and on the CPU: what it measures there means nothing,
that it runs does."""

import json
import os
import subprocess
import sys

from retouch.launcher.server import ROOT


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *map(str, arguments)],
        cwd=ROOT,
        text=True,
        timeout=400,
        env={**os.environ, **environment},
        capture_output=True,
    )


def test_every_figure_is_there(tmp_path):
    json_path = tmp_path / "out" / "gpu.json"
    options = ("--tiny", "--device", "cpu", "--count", 2, "--steps", 2)
    cache = tmp_path / "cache"
    done = run(*options, "--json", json_path, TORCHINDUCTOR_CACHE_DIR=str(cache))
    assert done.returncode == 0, done.stderr
    figures = json.loads(json_path.read_text())
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
    assert "say nothing of a GPU" in done.stdout


def test_without_a_gpu_it_says_so():
    done = run(CUDA_VISIBLE_DEVICES="")
    assert (
        done.returncode == 1
        and "finds no GPU here" in done.stderr
        and "Traceback" not in done.stderr
    )
