"""Why a start has failed, by logs as tritonserver writes them."""

from __future__ import annotations

import pytest

from retouch.launcher.start_failure import LONGEST, cause

DRIVER = (
    'W1129 05:00:00.000000 1 pinned_memory_manager.cc:273] "Unable to allocate pinned system '
    "memory: CUDA driver "
    'version is insufficient for CUDA runtime version"\n'
    'I1129 05:00:00.000000 1 cuda_memory_manager.cc:117] "CUDA memory pool disabled"\n'
)


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("E1129 python_be.cc] Failed to create pipe: Too many open files", "too few open files"),
        (
            (
                "E1129 server.cc] Socket '127.0.0.1:8001' already in use\nE1129 Failed to start "
                "GRPC service: Address already in use"
            ),
            "taken by another program",
        ),
        (
            (
                "E1129 Failed to increase the shared memory pool size for key 'x' to 67 bytes. No "
                "space left on device"
            ),
            "--shm-size",
        ),
        ("OSError: [Errno 28] No space left on device: '/x/y'", "is full"),
        ("E1129 Internal: std::bad_alloc", "too little memory"),
        ("E1129 RuntimeError: can't start new thread", "processes or threads"),
        (
            "E1129 instance group denoiser_0 of model denoiser_fp8 specifies invalid or "
            "unsupported gpu id 0. GPUs: none; "
            "instance group denoiser_0 has no GPU",
            "NVIDIA GPU",
        ),
    ],
)
def test_the_cause_is_told_in_our_words(tmp_path, line, meaning):
    log = tmp_path / "server.log"
    log.write_text(f"{DRIVER}{line}\n")
    assert meaning in cause(log)
    assert "/" not in cause(log).replace("/dev/shm", ""), "no paths"


def test_another_error_is_the_servers_own_and_short(tmp_path):
    log = tmp_path / "server.log"
    log.write_text(f"{DRIVER}I1129 fine\nE1129 model.cc:1] Internal error: {'very ' * 200}odd\n")
    assert cause(log).startswith("Internal error: very") and len(cause(log)) <= LONGEST + 1


def test_harmless_lines_are_no_cause(tmp_path):
    log = tmp_path / "server.log"
    log.write_text(DRIVER)
    assert "CUDA" not in cause(log)
    assert cause(tmp_path / "missing.log") == "it left no log"
