"""The whole recipe, two steps of few scenes a stage: its checkpoint edits, a second run resumes."""

from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pictures import scene
from retouch.families.instructx.pipeline import RetouchPipeline
from training import __main__ as recipe
from training import calibration, joint, parser, samples, text, tokenizer, transformer, vae
from training.start import Start
from training.teacher import LabelEncoder
from training_pictures import photographs, use_samples

PLANS = (
    (vae, "PLAN"),
    (text, "PLAN"),
    (parser, "PLAN"),
    (transformer, "PLAN"),
    (joint, "CONNECT"),
    (joint, "ADAPT"),
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
    monkeypatch.setattr(joint, "READINGS", 2)
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
    assert all((out / file).is_file() for _, file, _ in samples.EDITS)

    recipe.make(work, tmp_path / "again", seed=1)
    assert capsys.readouterr().out.count("resumed at step 2") == len(PLANS)
    same = {
        path.name: path.read_bytes()
        for path in (tmp_path / "again").rglob("transformer/*.safetensors")
    }
    assert same and all(
        (out / "transformer" / name).read_bytes() == data for name, data in same.items()
    )


def test_training_goes_on_from_a_checkpoint(short, tmp_path, capsys):
    """The networks begin as they were, and the first stages are not needed."""
    first = tmp_path / "first"
    work = tmp_path / "work"
    work.mkdir()
    recipe.make(work, first, seed=1)
    capsys.readouterr()
    more = tmp_path / "more"
    more.mkdir()
    start = Start(first)
    networks = text.run(work, start)
    model, teacher = transformer.make(), LabelEncoder(transformer.CONDITIONING)
    start.fill_transformer(model, teacher)
    (before,) = first.rglob("transformer/*.safetensors")
    for name, value in load_file(before).items():
        torch.testing.assert_close(model.state_dict()[name].bfloat16(), value, rtol=0, atol=0)
    assert not any("lora" in name for name in networks.state_dict())

    recipe.make(more, tmp_path / "second", seed=2, start=Start(first))
    output = capsys.readouterr().out
    assert "autoencoder:" not in output and "text:" not in output
    (after,) = (tmp_path / "second").rglob("transformer/*.safetensors")
    assert before.read_bytes() != after.read_bytes()
    tokens = "tokenizer/tokenizer.json"
    assert (first / tokens).read_bytes() == (tmp_path / "second" / tokens).read_bytes()


def test_a_checkpoint_without_the_trainings_part_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no training.safetensors"):
        Start(tmp_path)
