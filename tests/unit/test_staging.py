"""The folder of links that a server is started from: its path is plain, whatever the checkout's
is."""

from __future__ import annotations

import shutil
import tempfile

import pytest

from retouch.launcher import staging
from retouch.launcher.staging import PLAIN, stage


@pytest.fixture
def staged():
    folders = []

    def make(*arguments):
        folders.append(stage(*arguments))
        return folders[-1]

    yield make
    for folder in folders:
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["with space", "Bücher", "a'b\"c", "$HOME;ls", "línea&"])
def test_what_is_staged_is_reached_by_a_plain_path(staged, tmp_path, monkeypatch, name):
    repository = tmp_path / name / "models"
    for model in ("edit", "denoiser_bf16", "denoiser_old"):
        (repository / model).mkdir(parents=True)
        (repository / model / "config.pbtxt").write_text(model)
    (tmp_path / name / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name / "tmp"))
    folder = staged(repository, ["edit", "denoiser_bf16"])
    assert PLAIN.fullmatch(str(folder)) and folder.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in (folder / "models").iterdir()) == ["denoiser_bf16", "edit"]
    assert (folder / "models" / "edit" / "config.pbtxt").read_text() == "edit"
    assert (folder / "backends" / "python" / "triton_python_backend_stub").is_file()


def test_two_starts_have_folders_of_their_own(staged, tmp_path):
    assert staged(tmp_path, []) != staged(tmp_path, [])


def test_without_a_plain_place_there_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a b"))
    monkeypatch.setattr(staging, "FALLBACKS", ("/nowhere",))
    with pytest.raises(staging.ServerError, match="set TMPDIR"):
        stage(tmp_path, [])
