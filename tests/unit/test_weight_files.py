"""Files of weights as they are found: left-over indexes, variants, pickles and byte-order marks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError, read_json
from retouch_export.safetensors_index import stored

INDEX = "model.safetensors.index.json"


def save(file, *names):
    save_file({name: np.ones((2, 2), np.float32) for name in names}, file)


def write_index(file, **places):
    file.write_text(json.dumps({"weight_map": places}))


def test_an_index_left_beside_a_single_file(tmp_path):
    save(tmp_path / "model.safetensors", "a")
    write_index(tmp_path / INDEX, a="model-00001-of-00001.safetensors")
    assert set(stored(tmp_path)) == {"a"}


def test_shards_that_are_whole_win_over_a_single_file(tmp_path):
    save(tmp_path / "model.safetensors", "old")
    save(tmp_path / "model-00001-of-00001.safetensors", "a")
    write_index(tmp_path / INDEX, a="model-00001-of-00001.safetensors")
    assert set(stored(tmp_path)) == {"a"}


def test_a_missing_shard_without_a_single_file_is_told(tmp_path):
    write_index(tmp_path / INDEX, a="model-00001-of-00001.safetensors")
    with pytest.raises(CheckpointError, match="1 of 1 shards are missing"):
        stored(tmp_path)


def single(folder):
    save(folder / "diffusion_pytorch_model.fp16.safetensors", "a")


def sharded_by_an_index_of_transformers(folder):
    save(folder / "model.fp16-00001-of-00001.safetensors", "a")
    write_index(
        folder / "model.safetensors.index.fp16.json", a="model.fp16-00001-of-00001.safetensors"
    )


def sharded_in_the_other_order(folder):
    save(folder / "model-00001-of-00001.fp16.safetensors", "a")
    write_index(
        folder / "model.fp16.safetensors.index.json", a="model-00001-of-00001.fp16.safetensors"
    )


@pytest.mark.parametrize(
    "make", [single, sharded_by_an_index_of_transformers, sharded_in_the_other_order]
)
def test_a_variant_is_read_when_it_is_asked_for(tmp_path, make):
    make(tmp_path)
    with pytest.raises(CheckpointError, match="as a variant alone; give --variant fp16"):
        stored(tmp_path)
    with pytest.raises(CheckpointError, match="has no variant bf16; give --variant fp16"):
        stored(tmp_path, "bf16")
    assert set(stored(tmp_path, "fp16")) == {"a"}


def test_a_component_without_the_variant_gives_its_plain_weights(tmp_path):
    save(tmp_path / "model.safetensors", "a")
    assert set(stored(tmp_path, "fp16")) == {"a"}


@pytest.mark.parametrize(
    "name, message",
    [
        ("pytorch_model.bin", "save the pipeline again with safe_serialization"),
        ("model.ckpt", "for a pickle may run code"),
        ("model-00001-of-00002.safetensors", "without the index that names them"),
        ("model.gguf", "download it in diffusers' layout"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=message):
        stored(tmp_path)


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_settings_are_read_with_any_byte_order_mark(tmp_path, coding):
    (tmp_path / "config.json").write_text('{"name": "Öl"}', encoding=coding)
    assert read_json(tmp_path / "config.json", "config.json") == {"name": "Öl"}


def test_a_loader_is_given_plain_names_and_plain_text(tmp_path):
    (tmp_path / "model_index.json").write_text(
        '{"_class_name": "FluxKontextPipeline"}', encoding="utf-8-sig"
    )
    part = tmp_path / "text_encoder"
    part.mkdir()
    (part / "config.json").write_text("{}", encoding="utf-8-sig")
    (part / "pytorch_model.bin").write_bytes(b"")
    save(part / "model.safetensors", "wide")
    sharded_by_an_index_of_transformers(part)
    checkpoint = Checkpoint(tmp_path, "fp16")  # the folder of links lasts as long as it does
    plain = checkpoint.plain("text_encoder")
    assert (plain / "config.json").read_bytes() == b"{}"
    assert {path.name for path in plain.iterdir()} == {
        "config.json",
        INDEX,
        "model.fp16-00001-of-00001.safetensors",
    }
