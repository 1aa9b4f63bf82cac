"""What is wrong with a checkpoint's files: one case each, through the command line, one sentence
and no torch."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from retouch.launcher.server import ROOT
from retouch_export.checkpoint import Checkpoint
from retouch_export.pipelines import PIPELINES
from retouch_export.validate import faults

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
SHARDS = [
    f"transformer/diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)
]
SHARD_INDEX = f"{WEIGHTS}.index.json"
NOTES = ".cache/huggingface/download"


@pytest.fixture
def folder(tmp_path):
    """All that a Kontext pipeline has, a few numbers large."""
    whole = tmp_path / "kontext"
    listed = {
        "transformer": "FluxTransformer2DModel",
        "vae": "AutoencoderKL",
        "scheduler": "FlowMatchEulerDiscreteScheduler",
    }
    index = {
        "_class_name": "FluxKontextPipeline",
        "image_encoder": [None, None],
        "feature_extractor": [None, None],
    }
    write(
        whole,
        "model_index.json",
        index
        | {name: ["diffusers", kind] for name, kind in listed.items()}
        | {
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
        },
    )
    for name in ("transformer", "vae"):
        write(whole, f"{name}/config.json", {"_class_name": listed[name]})
        save_file(
            {"a.weight": np.ones((4, 4), np.float32)},
            whole / name / "diffusion_pytorch_model.safetensors",
        )
    write(whole, "text_encoder/config.json", {})
    save_file({"b.weight": np.ones((2, 4), np.float32)}, whole / "text_encoder/model.safetensors")
    write(whole, "scheduler/scheduler_config.json", {"shift": 3.0})
    write(whole, "tokenizer/vocab.json", {})
    return whole


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def shard(folder):
    """The transformer's tensors in two files."""
    (folder / WEIGHTS).unlink()
    for name, file in zip("ab", SHARDS):
        save_file({name: np.ones((4, 4), np.float32)}, folder / file)
    write(
        folder,
        SHARD_INDEX,
        {"weight_map": {name: file.split("/")[1] for name, file in zip("ab", SHARDS)}},
    )


def git_hash(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def note(folder, name, value):
    write(folder, f"{NOTES}/{name}.metadata", f"{'0' * 40}\n{value}\n1712656091.1\n")


def faults_in(folder):
    return list(faults(Checkpoint(folder)))


def test_a_whole_checkpoint_has_no_fault(folder):
    assert faults_in(folder) == []
    shard(folder)
    assert faults_in(folder) == []


def test_hashes_that_hold_are_no_fault(folder):
    content = (folder / WEIGHTS).read_bytes()
    write(folder, "SHA256SUMS", f"{hashlib.sha256(content).hexdigest()}  {WEIGHTS}\n")
    note(folder, WEIGHTS, hashlib.sha256(content).hexdigest())
    note(folder, "model_index.json", git_hash((folder / "model_index.json").read_bytes()))
    blobs = folder.parent / "blobs"
    blobs.mkdir()
    linked = (folder / "vae/config.json").rename(
        blobs / git_hash((folder / "vae/config.json").read_bytes())
    )
    (folder / "vae/config.json").symlink_to(f"../../blobs/{linked.name}")
    assert faults_in(folder) == []
    linked.write_text("{}")
    assert [
        "vae/config.json is not the file that its hash describes" in fault
        for fault in faults_in(folder)
    ] == [True]


@pytest.mark.parametrize("name", PIPELINES)
def test_every_pipeline_is_recognised(tmp_path, name):
    write(tmp_path, "model_index.json", {"_class_name": name})
    assert Checkpoint(tmp_path).family == PIPELINES[name].family


# -- through the command line ----------------------------------------------------------------------


def remove(name):
    return lambda folder: (folder / name).unlink()


def put(name, content):
    return lambda folder: write(folder, name, content)


def no_folder(folder):
    folder.rename(folder.parent / "elsewhere")


def a_file(folder):
    no_folder(folder)
    folder.touch()


def no_vae(folder):
    (folder / "vae").rename(folder.parent / "vae")


def cut_shard(folder):
    shard(folder)
    content = (folder / SHARDS[1]).read_bytes()
    (folder / SHARDS[1]).write_bytes(content[:-8])


def missing_shard(folder):
    shard(folder)
    (folder / SHARDS[1]).unlink()


def lacking_tensor(folder):
    shard(folder)
    save_file({"c": np.ones(1, np.float32)}, folder / SHARDS[1])


def bad_shard_index(folder):
    shard(folder)
    write(folder, SHARD_INDEX, {"weight_map": {"a": "../a.safetensors"}})


def other_format(folder):
    (folder / WEIGHTS).rename(folder / "transformer/diffusion_pytorch_model.bin")


def other_numbers(folder):
    save_file({"a.weight": np.ones((4, 4), np.float64)}, folder / WEIGHTS)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
CASES = {
    "no folder": (no_folder, "there is no kontext"),
    "a file": (a_file, "kontext is no folder; give the folder of a checkpoint"),
    "no index": (
        remove("model_index.json"),
        "kontext is no checkpoint: it has no model_index.json",
    ),
    "damaged index": (
        put("model_index.json", "{"),
        "model_index.json of the checkpoint is damaged",
    ),
    "an index that is a list": (
        put("model_index.json", "[]"),
        "model_index.json of the checkpoint is damaged",
    ),
    "an index as a pointer": (
        put("model_index.json", POINTER),
        "model_index.json is a git-lfs pointer; run `git lfs pull`",
    ),
    "another pipeline": (
        put("model_index.json", {"_class_name": "FluxPipeline"}),
        "kontext holds a FluxPipeline; supported are RetouchPipeline, FluxKontextPipeline",
    ),
    "a pipeline with code of its own": (
        put("model_index.json", {"_class_name": ["pipeline", "Edit"]}),
        "kontext holds a pipeline without a class name; supported are",
    ),
    "no class": (
        put("model_index.json", {}),
        "kontext holds a pipeline without a class name",
    ),
    "a component": (no_vae, "lacks the folder vae, which model_index.json lists"),
    "a config": (remove("vae/config.json"), "lacks vae/config.json; download it again"),
    "a damaged config": (
        put("transformer/config.json", "{"),
        "transformer/config.json of the checkpoint is damaged",
    ),
    "a scheduler's config": (
        remove("scheduler/scheduler_config.json"),
        "lacks scheduler/scheduler_config.json",
    ),
    "a tokenizer": (
        remove("tokenizer/vocab.json"),
        "lacks tokenizer/tokenizer.json or tokenizer/vocab.json",
    ),
    "a damaged tokenizer": (
        put("tokenizer/vocab.json", "{"),
        "tokenizer/vocab.json of the checkpoint is damaged",
    ),
    "weights": (
        remove(WEIGHTS),
        f"lacks {WEIGHTS} or transformer/model.safetensors; download it again",
    ),
    "weights in another format": (
        other_format,
        "diffusion_pytorch_model.bin cannot be read in its place",
    ),
    "numbers of another type": (
        other_numbers,
        "holds numbers of type F64; supported are BF16, F16, F32",
    ),
    "a pointer": (
        put(WEIGHTS, POINTER),
        f"{WEIGHTS} is a git-lfs pointer, not the weights; run `git lfs pull`",
    ),
    "no safetensors": (put(WEIGHTS, "\x02\0\0\0\0\0\0\0[]"), f"{WEIGHTS} is no safetensors file"),
    "a shard": (
        missing_shard,
        f"lacks {SHARDS[1]}, which diffusion_pytorch_model.safetensors.index.json names (1 of 2",
    ),
    "a shard cut short": (cut_shard, f"{SHARDS[1]} is cut short: it has"),
    "a tensor": (lacking_tensor, "the shards of transformer lack b, which"),
    "an index out of the folder": (bad_shard_index, f"{SHARD_INDEX} names no shards"),
    "a damaged shard index": (put(SHARD_INDEX, "{"), f"{SHARD_INDEX} of the checkpoint is damaged"),
    "a download": (
        put(f"{NOTES}/transformer/x.0.incomplete", ""),
        "x.0.incomplete is a download that has not ended",
    ),
    "a part": (
        put(f"{WEIGHTS}.part", ""),
        f"{WEIGHTS}.part is a download that has not ended; run the download again",
    ),
    "a listed hash": (
        put("SHA256SUMS", f"{'0' * 64}  {WEIGHTS}\n"),
        f"{WEIGHTS} is not the file that its hash describes",
    ),
    "a damaged list": (
        put("sha256sums.txt", "good\n"),
        "sha256sums.txt is damaged: a line is no SHA-256",
    ),
    "a noted hash": (
        lambda folder: note(folder, WEIGHTS, "1" * 64),
        f"{WEIGHTS} is not the file that its hash describes",
    ),
    "a noted hash of git": (
        lambda folder: note(folder, "vae/config.json", "1" * 40),
        "vae/config.json is not the file that",
    ),
}


@pytest.mark.parametrize("damage, message", CASES.values(), ids=CASES)
def test_a_fault_is_one_sentence(folder, tmp_path, damage, message):
    """Beside the name that the user gave, no path of this machine is told; nothing is made."""
    damage(folder)
    code = (
        "import sys; from retouch_export.command import export; sys.argv[0] = 'export'\ntry: "
        "export()\n"
        "finally: assert not {'torch', 'diffusers', 'transformers', 'onnx'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "kontext", "--repository", "out"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and message in line and str(tmp_path) not in line
    assert not (tmp_path / "out").exists()


def test_the_module_s_own_name_works(folder, tmp_path):
    remove(WEIGHTS)(folder)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "retouch_export",
            str(folder),
            "--repository",
            str(tmp_path / "out"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and f"error: the checkpoint lacks {WEIGHTS}" in done.stderr
