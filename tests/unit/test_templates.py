"""The files of a model repository that no export makes."""

from __future__ import annotations

import pytest

from retouch_export import templates


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "templates"
    for name, text in (("edit/config.pbtxt", "config"), ("edit/1/model.py", "code")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "ensemble" / "1").mkdir(parents=True)
    (folder / "ensemble" / "1" / ".gitkeep").touch()
    return folder


def test_a_new_repository_gets_all(source, tmp_path):
    assert list(templates.install(tmp_path / "models", source)) == []
    assert (tmp_path / "models" / "edit" / "config.pbtxt").read_text() == "config"
    assert (tmp_path / "models" / "edit" / "1" / "model.py").read_text() == "code"
    assert list((tmp_path / "models" / "ensemble" / "1").iterdir()) == []


def test_a_config_of_the_user_stays_and_code_is_renewed(source, tmp_path):
    list(templates.install(tmp_path / "models", source))
    edit = tmp_path / "models" / "edit"
    (edit / "config.pbtxt").write_text("mine")
    (edit / "1" / "model.py").write_text("old")
    (sentence,) = templates.install(tmp_path / "models", source)
    assert "edit/config.pbtxt differs" in sentence
    assert (edit / "config.pbtxt").read_text() == "mine"
    assert (edit / "1" / "model.py").read_text() == "code"


def test_a_checkout_has_no_copy():
    assert not templates.TEMPLATES.exists()
    assert list(templates.install(templates.TEMPLATES.parent / "nowhere")) == []
