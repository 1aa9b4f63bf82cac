"""The secret of a start: who can read it, and for which server it is sent."""

from __future__ import annotations

import stat

import pytest

from retouch.launcher import secret


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(secret, "FOLDER", tmp_path / "secrets")
    return tmp_path / "secrets"


def test_it_is_new_each_time():
    assert len({secret.new_secret() for _ in range(20)}) == 20


def test_its_file_is_for_its_owner_alone(folder):
    folder.mkdir()
    left = secret.file_of(8001)
    left.write_text("of a server that was killed")
    left.chmod(0o644)
    path = secret.keep(8001, "new")
    assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8001", "localhost:8001", "[::1]:8001", "127.8.9.1:8001"]
)
def test_a_client_on_this_machine_has_it(url):
    secret.keep(8001, "open sesame")
    assert secret.secret_of(url) == "open sesame"


@pytest.mark.parametrize(
    "url",
    [
        "10.0.0.5:8001",
        "example.com:8001",
        "127.0.0.1.example.com:8001",
        "127.0.0.1:8000",
        "127.0.0.1:grpc",
    ],
)
def test_it_is_sent_to_no_other_server(url):
    secret.keep(8001, "open sesame")
    assert secret.secret_of(url) == ""


def test_both_protocols_restrict_what_changes_a_server():
    http, grpc = secret.options("s")
    for option in (http, grpc):
        assert option.endswith("=model-repository,shared-memory,logging,trace:retouch-secret=s")
