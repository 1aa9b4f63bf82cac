"""What is looked at before a start: one sentence for each thing that would let it fail."""

from __future__ import annotations

import re
import resource
import socket
import subprocess
import sys

import pytest

from retouch.launcher import preflight
from retouch.launcher.paths import ROOT
from retouch.launcher.placements import placements
from retouch.launcher.server import HOST, Server, ServerError, free_port


@pytest.mark.parametrize("protocol", ["http", "grpc", "metrics"])
def test_a_port_in_use_is_named(protocol):
    ports = {name: free_port() for name in ("http", "grpc", "metrics")}
    with (
        socket.create_server((HOST, ports[protocol])),
        pytest.raises(
            ServerError,
            match=f"port {ports[protocol]} \\({protocol}\\) .* in use.*--{protocol}-port",
        ),
    ):
        preflight.check_ports(HOST, ports)
    preflight.check_ports(HOST, ports)


def test_one_port_for_two_protocols_is_refused():
    with pytest.raises(ServerError, match="http and grpc have the same port"):
        preflight.check_ports(HOST, {"http": 18000, "grpc": 18000, "metrics": 18002})


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-name.invalid", "300.1.1.1", "2001:db8::1"])
def test_an_address_of_another_machine_is_refused(host):
    with pytest.raises(ServerError, match="no address of this machine"):
        preflight.check_ports(host, {"http": free_port()})


def test_nothing_is_made_before_the_ports_are_free(tmp_path):
    with socket.create_server((HOST, 0)) as taken:
        server = Server(log=tmp_path / "server.log", grpc=taken.getsockname()[1])
        with pytest.raises(ServerError, match="in use"):
            server.__enter__()
    assert server.process is None and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.com", "127.0.0.1.nip.io"])
def test_a_server_with_known_holes_stays_on_this_machine(host):
    with pytest.raises(ServerError, match="--behind-proxy.*SECURITY.md"):
        Server(host=host).check()
    preflight.check_host(host, behind_proxy=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_loopback_is_always_allowed(host):
    preflight.check_host(host, behind_proxy=False)


@pytest.mark.parametrize(
    ("soft", "hard", "result"),
    [
        (64, 64, "this shell allows 64 open files"),
        (20, 200, "allows 200"),
        (64, 8192, "4096"),
        (1024, 2048, "2048"),
    ],
)
def test_open_files(soft, hard, result):
    """Raised as far as it is allowed; refused where that is too little."""
    code = (
        "import resource\nfrom retouch.launcher import preflight\nfrom "
        "retouch.launcher.start_failure import ServerError\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "try:\n    preflight.raise_open_files()\n    "
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
        "except ServerError as failure:\n    print(failure)\n"
    )
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip("this machine allows fewer open files")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.search(result, done.stdout)


def test_a_profile_for_a_gpu_is_refused_without_one(tmp_path):
    for name in ("gpu", "cpu"):
        (tmp_path / name / "configs").mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").write_text("kind: KIND_CPU")
    (tmp_path / "gpu" / "configs" / "hopper.pbtxt").write_text("kind: KIND_GPU")
    nothing = "/nowhere/nvidia*"
    something = str(tmp_path / "gpu")

    def check(profile, models, devices):
        preflight.check_gpu(placements(tmp_path, profile, models), profile, devices)

    check("", ["cpu", "gpu"], nothing)
    check("hopper", ["cpu"], nothing)
    check("hopper", ["gpu"], something)
    with pytest.raises(ServerError, match="profile hopper needs an NVIDIA GPU"):
        check("hopper", ["cpu", "gpu"], nothing)
