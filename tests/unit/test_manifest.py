"""Artifacts appear whole or not at all, and what does not match is refused in one sentence."""

import os
import stat

import pytest

from retouch.artifacts.manifest import NAME, ArtifactError, Manifest, publish, read, verify
from retouch.backends.onnx import OnnxBackend, threads


@pytest.fixture
def folder(tmp_path):
    """`model/1` with two published files."""
    path = tmp_path / "model" / "1"
    path.mkdir(parents=True)
    staged(path, {"a.onnx": b"a" * 1000, "b.npz": b"b"})
    return path


def staged(path, files):
    staging = path.parent / ".partial"
    staging.mkdir()
    for name, content in files.items():
        (staging / name).write_bytes(content)
    about = Manifest(
        "instructx", "c" * 64, "bf16", "float32", 20, {"torch": "2"}, settings={"x": [1]}
    )
    publish(staging, path, about)
    staging.rmdir()


def refusal(path, *files):
    with pytest.raises(ArtifactError) as refused:
        verify(path, *files)
    message = str(refused.value)
    assert "\n" not in message and str(path) not in message and "run the export" in message
    return message


def test_what_was_published_is_read_again(folder):
    manifest = verify(folder)
    assert (manifest.family, manifest.opset, manifest.settings) == ("instructx", 20, {"x": [1]})
    assert set(manifest.files) == {"a.onnx", "b.npz"}
    assert verify(folder, "a.onnx") == read(folder) == manifest


def test_a_file_cut_short_is_refused(folder):
    (folder / "a.onnx").write_bytes(b"a" * 999)
    assert "a.onnx of model/1" in refusal(folder)
    verify(folder, "b.npz")  # the others can still be used


def test_a_missing_file_is_refused(folder):
    (folder / "a.onnx").unlink()
    assert "lacks a.onnx" in refusal(folder, "a.onnx")


def test_a_file_nobody_described_is_refused(folder):
    (folder / "c.onnx").write_bytes(b"c")
    assert "does not list c.onnx" in refusal(folder, "c.onnx")


def test_no_manifest_is_refused(folder):
    (folder / NAME).unlink()
    assert "no manifest.json" in refusal(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"family": "x"}', "null", '{"unknown": 1}'])
def test_a_damaged_manifest_is_refused(folder, text):
    (folder / NAME).write_text(text)
    assert "damaged" in refusal(folder)


def test_what_the_manifest_describes_stays_and_the_rest_of_the_last_export_goes(folder, tmp_path):
    kept = read(folder)
    staging = tmp_path / "more"
    kept.files = {"a.onnx": kept.files["a.onnx"]}
    staging.mkdir()
    (staging / "a.plan").write_bytes(b"plan")
    (folder / "foreign").write_bytes(b"not of the export")
    publish(staging, folder, kept)
    assert set(verify(folder).files) == {"a.onnx", "a.plan"}
    assert {path.name for path in folder.iterdir()} == {"a.onnx", "a.plan", "foreign", NAME}


def test_an_interrupted_export_leaves_no_manifest(folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("retouch.artifacts.manifest.os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        staged(folder, {"a.onnx": b"new", "b.npz": b"new"})
    assert "no manifest.json" in refusal(folder)


def test_what_is_no_graph_is_refused_too(folder):
    with pytest.raises(ArtifactError, match="a.onnx cannot be loaded by ONNX Runtime"):
        OnnxBackend(folder, "a")


def test_threads_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("RETOUCH_THREADS", "3")
    assert threads() == 3
    monkeypatch.delenv("RETOUCH_THREADS")
    assert threads() == 1
    for wrong in ("0", "-1", "two"):
        monkeypatch.setenv("RETOUCH_THREADS", wrong)
        with pytest.raises(ValueError, match="RETOUCH_THREADS"):
            threads()


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o700])
def test_what_is_exported_is_read_by_those_who_read_its_model(tmp_path, mode):
    """Whatever the umask: a server of another user has to load it."""
    model = tmp_path / "model"
    model.mkdir()
    before = os.umask(0o077)
    try:
        (model / "1").mkdir()
        model.chmod(mode)
        staged(model / "1", {"graph.onnx": b"graph"})
    finally:
        os.umask(before)
    assert stat.S_IMODE((model / "1").stat().st_mode) == mode
    for name in ("graph.onnx", "manifest.json"):
        assert stat.S_IMODE((model / "1" / name).stat().st_mode) == mode & 0o666
