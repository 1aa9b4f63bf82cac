"""The whole recipe, two steps of few scenes a stage: its checkpoint edits, a second run resumes."""

import contextlib
import io
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pictures import scene
from retouch.families.instructx.pipeline import RetouchPipeline
from training import __main__ as recipe
from training import (
    calibration,
    checkpoint,
    joint,
    parser,
    samples,
    text,
    tokenizer,
    transformer,
    vae,
)
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


@dataclass(frozen=True)
class Made:
    """A run's states, its checkpoint, and what it printed."""

    work: Path
    out: Path
    output: str


@pytest.fixture(scope="module")
def short():
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        yield


@pytest.fixture(scope="module")
def made(short, tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        made = Made(folder / "work", folder / "checkpoint", "")
        made.work.mkdir()
        recipe.make(made.work, made.out, seed=1)
    return replace(made, output=output.getvalue())


def shorten(monkeypatch):
    for module, name in PLANS:
        monkeypatch.setattr(module, name, replace(getattr(module, name), steps=2, warmup=1))
    for module in (vae, text, parser):
        monkeypatch.setattr(module, "BATCH", 4)
    monkeypatch.setattr(tokenizer, "SENTENCES", 400)
    for module, name, count in (
        (calibration, "BATCHES", 2),
        (checkpoint, "CALIBRATION_PAIRS", 4),
        (checkpoint, "EXAMPLE_DRAWS", 400),
        (joint, "READINGS", 2),
        (transformer, "EDITS", 1),
        (transformer, "WHOLE_EDITS", 1),
    ):
        monkeypatch.setattr(module, name, count)
    monkeypatch.setattr(samples, "load_photos", lambda split: photographs())
    monkeypatch.setattr(samples, "DATED", "chelsea")
    use_samples(monkeypatch)


def test_from_a_seed_to_a_checkpoint(made, tmp_path, capsys):
    assert "resumed" not in made.output
    first = RetouchPipeline.from_pretrained(made.out)
    edited = first(
        Image.fromarray(scene()), "make the red circle blue", seed=1, steps=1, region="full"
    )
    assert edited.image.size == (128, 128)
    assert all((made.out / file).is_file() for _, file, _ in samples.EDITS)

    recipe.make(made.work, tmp_path / "again", seed=1)
    assert capsys.readouterr().out.count("resumed at step 2") == len(PLANS)
    same = {
        path.name: path.read_bytes()
        for path in (tmp_path / "again").rglob("transformer/*.safetensors")
    }
    assert same and all(
        (made.out / "transformer" / name).read_bytes() == data for name, data in same.items()
    )


def test_training_goes_on_from_a_checkpoint(made, tmp_path, capsys):
    """The networks begin as they were, and the first stages are not needed."""
    more = tmp_path / "more"
    more.mkdir()
    start = Start(made.out)
    networks = text.run(made.work, start)
    model, teacher = transformer.make(), LabelEncoder(transformer.CONDITIONING)
    start.fill_transformer(model, teacher)
    (before,) = made.out.rglob("transformer/*.safetensors")
    for name, value in load_file(before).items():
        torch.testing.assert_close(model.state_dict()[name].bfloat16(), value, rtol=0, atol=0)
    assert not any("lora" in name for name in networks.state_dict())

    recipe.make(more, tmp_path / "second", seed=2, start=Start(made.out))
    output = capsys.readouterr().out
    assert "autoencoder:" not in output and "text:" not in output
    (after,) = (tmp_path / "second").rglob("transformer/*.safetensors")
    assert before.read_bytes() != after.read_bytes()
    tokens = "tokenizer/tokenizer.json"
    assert (made.out / tokens).read_bytes() == (tmp_path / "second" / tokens).read_bytes()


def test_a_checkpoint_without_the_trainings_part_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no training.safetensors"):
        Start(tmp_path)
