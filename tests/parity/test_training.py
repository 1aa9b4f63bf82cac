"""The whole recipe, two steps of few scenes a stage: its checkpoint edits, a second run resumes."""

from dataclasses import replace

import pytest
from PIL import Image

from pictures import scene
from retouch.families.instructx.pipeline import RetouchPipeline
from retouch_clients.shipped_checkpoint.examples import EDITS
from training import __main__ as recipe
from training import calibration, joint, parser, samples, text, tokenizer, transformer, vae
from training_pictures import photographs, use_samples

PLANS = (
    (vae, "PLAN"),
    (text, "PLAN"),
    (parser, "PLAN"),
    (transformer, "PLAN"),
    (joint, "CONNECT"),
    (joint, "JOINT"),
)


@pytest.fixture()
def short(monkeypatch):
    for module, name in PLANS:
        monkeypatch.setattr(module, name, replace(getattr(module, name), steps=2, warmup=1))
    for module in (vae, text, parser):
        monkeypatch.setattr(module, "BATCH", 4)
    monkeypatch.setattr(tokenizer, "SENTENCES", 400)
    monkeypatch.setattr(calibration, "BATCHES", 2)
    monkeypatch.setattr(samples, "load_photos", lambda split: photographs())
    monkeypatch.setattr(samples, "DATED", "chelsea")
    use_samples(monkeypatch)


def test_from_a_seed_to_a_checkpoint(short, tmp_path, capsys):
    work = tmp_path / "work"
    out = tmp_path / "checkpoint"
    work.mkdir()
    recipe.make(work, out, seed=1)
    assert "resumed" not in capsys.readouterr().out
    first = RetouchPipeline.from_pretrained(out)
    edited = first(
        Image.fromarray(scene()), "make the red circle blue", seed=1, steps=1, region="full"
    )
    assert edited.image.size == (128, 128)
    assert all((out / file).is_file() for _, file, _ in EDITS)

    recipe.make(work, tmp_path / "again", seed=1)
    assert capsys.readouterr().out.count("resumed at step 2") == len(PLANS)
    same = {
        path.name: path.read_bytes()
        for path in (tmp_path / "again").rglob("transformer/*.safetensors")
    }
    assert same and all(
        (out / "transformer" / name).read_bytes() == data for name, data in same.items()
    )
