"""The sections, the most telling first: with a short budget the later ones are left out."""

from __future__ import annotations

from benchmarks.gpu_hour.section import Section
from retouch.launcher import tritonserver
from retouch.launcher.start_failure import ServerError

ON_CPU = ("--tiny", "--device", "cpu")
JSON = ("--json", "{json}")


def missing_server() -> str:
    """Why there is no tritonserver, of the wheel or of a container; empty when there is one."""
    try:
        tritonserver.installed()
    except ServerError as failure:
        return str(failure)
    return ""


SECTIONS = (
    Section(
        "tests",
        ("-m", "pytest", "tests/gpu", "-q", "-p", "no:cacheprovider"),
        300,
        needs=("pytest", "onnxruntime"),
    ),
    Section(
        "parts",
        ("-m", "benchmarks.parts", *JSON),
        900,
        needs=("diffusers", "transformers"),
        tiny=(*ON_CPU, "--count", "1", "--ways", "eager"),
    ),
    Section(
        "steps",
        ("-m", "benchmarks.gpu", *JSON),
        900,
        needs=("diffusers",),
        tiny=(*ON_CPU, "--count", "2", "--steps", "2"),
    ),
    Section(
        "klein",
        ("-m", "benchmarks.klein", *JSON),
        600,
        needs=("diffusers",),
        tiny=(*ON_CPU, "--count", "1"),
    ),
    Section(
        "edit",
        ("-m", "benchmarks.edit_stages", *JSON),
        300,
        needs=("tritonclient", "onnxruntime"),
        tiny=("--profile", "cpu", "--count", "2"),
        obstacle=missing_server,
    ),
)
