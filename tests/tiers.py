"""The tiers of the tests, which are the folders of tests/, and the files of `make test-fast`."""

from __future__ import annotations

from pathlib import Path

TIERS = ("server", "parity", "gpu", "bindings", "contract", "unit")  # the slowest files first

# make test-fast: these tiers without their slow files, a server, and the family of the shipped
# checkpoint against its pipeline in torch
FAST_TIERS = ("unit", "contract")
FAST_FILES = (
    "server/test_doors.py",
    "parity/test_edit.py",
    "parity/test_graphs.py",
    "parity/test_patches.py",
    "parity/test_reading.py",
    "parity/test_scheduler.py",
    "parity/test_transformer.py",
)
SLOW_FILES = (
    "unit/test_client_outage.py",
    "unit/test_colour_difference.py",
    "unit/test_decode_memory.py",
    "unit/test_inspect.py",
    "unit/test_openai_document.py",
    "unit/test_openai_live.py",
    "unit/test_openai_server.py",
    "unit/test_picture_corpus.py",
    "unit/test_process_end.py",
    "unit/test_validate.py",
)

# files of tests/server that start servers of their own; the others share one, in one worker
OWN_SERVERS = (
    "test_adapter_lane.py",
    "test_families.py",
    "test_gpu_benchmark.py",
    "test_leftovers.py",
    "test_readme.py",
    "test_serve.py",
    "test_small_shared_memory.py",
    "test_wheel.py",
)


def shares_server(path: Path) -> bool:
    """Whether a test file takes the fixture `server`."""
    return path.parent.name == "server" and path.name not in OWN_SERVERS


def markers(path: Path) -> list[str]:
    """Names of the markers of a test file's tests."""
    tier = path.parent.name
    file = f"{tier}/{path.name}"
    is_fast = file in FAST_FILES or (tier in FAST_TIERS and file not in SLOW_FILES)
    return [tier, *["fast"] * is_fast]
