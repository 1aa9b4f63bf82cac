"""Checkpoints of the Hugging Face Hub, by a hub on loopback: which files are downloaded, when they
are not, and what is printed where they cannot be."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from huggingface_hub import constants
from safetensors.numpy import save_file

from fake_hub import TOKEN, FakeHub, Repository, running, use
from retouch.launcher.server import ROOT
from retouch.util import env
from retouch_clients.command import retouch
from retouch_export import hub as hub_module
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.command import export
from retouch_export.hub import calibration_folder, located
from retouch_export.hub_name import HubName, hub_name
from retouch_export.staleness import checkpoint_digest

NAME = "our-org/shapes"
CHECKPOINT = ROOT / "checkpoints" / "photo"
LARGEST = "transformer/diffusion_pytorch_model.safetensors"
SHARDS = ("model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.fp16.json"
FURTHER = (
    *(f"text_encoder/{name}" for name in SHARDS),
    "transformer/diffusion_pytorch_model.bin",
    "text_encoder/model.fp16-00003-of-00003.safetensors",
    "text_encoder/pytorch_model.bin.index.json",
    "vae/model.onnx",
    "vae/flax_model.msgpack",
    "safety_checker/model.safetensors",
    "shapes.safetensors",
    "README.md",
)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The shipped checkpoint as published ones are: with files that no export needs."""
    folder = tmp_path_factory.mktemp("published") / "photo"
    shutil.copytree(CHECKPOINT, folder, ignore=shutil.ignore_patterns("[1-9]*.png"))
    pairs = folder / "calibration" / "pairs.jsonl"
    rows = pairs.read_text().splitlines()
    pairs.write_text("".join(row + "\n" for row in rows if json.loads(row)["image"][0] == "0"))
    for name in FURTHER:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode() * 100)
    places = dict(zip("ab", SHARDS))
    (folder / "text_encoder" / INDEX).write_text(json.dumps({"weight_map": places}))
    return folder


@pytest.fixture
def hub(published, tmp_path, monkeypatch):
    repositories = {
        NAME: Repository(published),
        "our-org/gated": Repository(published, is_gated=True),
        "our-org/private": Repository(published, is_private=True),
        "our-org/other": Repository(_other(tmp_path / "other")),
        "our-org/pickled": Repository(_pickled(tmp_path / "pickled")),
        "our-org/partial": Repository(_partial(tmp_path / "partial")),
        "our-org/bare": Repository(_bare(tmp_path / "bare")),
    }
    with running(repositories) as server:
        use(server, monkeypatch, tmp_path)
        yield server


def _other(folder: Path) -> Path:
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    return folder


def _pickled(folder: Path) -> Path:
    shutil.copytree(CHECKPOINT / "vae", folder / "vae")
    weights = next((folder / "vae").glob("*.safetensors"))
    weights.rename(weights.with_suffix(".bin"))
    components = {"_class_name": "RetouchPipeline", "vae": ["diffusers", "AutoencoderKLFlux2"]}
    (folder / "model_index.json").write_text(json.dumps(components))
    return folder


def _partial(folder: Path) -> Path:
    shutil.copytree(CHECKPOINT / "vae", folder / "vae")
    shutil.copy(CHECKPOINT / "model_index.json", folder)
    return folder


def _bare(folder: Path) -> Path:
    folder.mkdir()
    save_file({"weight": np.zeros(4, np.float32)}, folder / "model.safetensors")
    return folder


def fetched(name: str = NAME, variant: str | None = None, weights: bool = True):
    return located(Path(name), variant, lambda sentence: None, weights)


def failure(name: str) -> str:
    """The one line that an export of that name prints."""
    done = CliRunner().invoke(export, [name])
    errors = [line for line in done.stderr.splitlines() if not line.startswith("downloading")]
    assert done.exit_code == 1 and len(errors) == 1, done.output
    return errors[0]


def test_only_what_a_family_needs_is_downloaded(hub: FakeHub, published):
    place = fetched()
    names = {
        path.relative_to(published).as_posix() for path in published.rglob("*") if path.is_file()
    }
    pictures = {"example.jpg", "sample.jpg", "object.jpg", "shapes.png"}
    others = {"sample.txt", "demo.json", "training.safetensors"}
    needed = {name for name in names - {*FURTHER, *pictures, *others} if not name.startswith(".")}
    # files of the same content are downloaded once
    assert set(hub.gets) <= needed and set(hub.gets.values()) == {1}
    linked = {
        path.relative_to(place.folder).as_posix()
        for path in place.folder.rglob("*")
        if path.is_file()
    }
    assert linked == needed
    assert place.origin == f"{NAME}@{hub.repositories[NAME].commit}"


def test_the_second_time_nothing_is_downloaded(hub: FakeHub):
    first = fetched()
    digest = checkpoint_digest(first.folder)
    hub.forget()
    assert [fetched(), fetched(f"{NAME}@v1"), fetched(f"{NAME}@{first.folder.name}")] == [first] * 3
    assert not hub.gets
    # another program's files in the cache do not make it another checkpoint
    Path(
        constants.HF_HUB_CACHE, "models--our-org--shapes", "snapshots", first.folder.name
    ).joinpath("config.json").write_text("{}")
    assert checkpoint_digest(fetched().folder) == digest


def test_a_variant_and_settings_alone(hub: FakeHub):
    place = fetched(weights=False)
    assert LARGEST not in hub.gets and (place.folder / "transformer" / "config.json").is_file()
    fetched(variant="fp16")
    text = {name for name in hub.gets if name.startswith("text_encoder/model")}
    assert text == {f"text_encoder/{name}" for name in (*SHARDS, INDEX)} and LARGEST in hub.gets


DOWNLOAD = """
import sys
from pathlib import Path
from retouch_export.hub import located
located(Path(sys.argv[1]), None, print)
"""


def test_a_killed_download_goes_on_where_it_was(hub: FakeHub, tmp_path):
    half = 1 << 20
    repository = hub.repositories[NAME]
    size = (repository.folder / LARGEST).stat().st_size
    assert size > 4 * half
    repository.stalls[LARGEST] = half
    settings = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "export"))),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_CACHE": constants.HF_HUB_CACHE,
        env.CACHE_HOME.name: str(tmp_path / "cache"),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", DOWNLOAD, NAME], env=settings, stdout=subprocess.DEVNULL
    )
    assert hub.stalled.wait(120)
    blobs = _blobs()
    deadline = time.monotonic() + 60
    while sum(path.stat().st_size for path in blobs.glob("*.incomplete")) < half // 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    (partial,) = blobs.glob("*.incomplete")
    kept = partial.stat().st_size
    repository.stalls.clear()
    hub.released.set()
    hub.forget()
    place = fetched()
    assert hub.gets[LARGEST] == 1 and hub.bytes[LARGEST] == size - kept
    assert (place.folder / LARGEST).read_bytes() == (repository.folder / LARGEST).read_bytes()
    assert not list(blobs.glob("*.incomplete"))


def test_a_broken_connection_is_made_again(hub: FakeHub, published):
    repository = hub.repositories[NAME]
    repository.breaks[LARGEST] = 1 << 20
    place = fetched()
    size = (published / LARGEST).stat().st_size
    assert hub.gets[LARGEST] == 2 and hub.bytes[LARGEST] == size
    assert (place.folder / LARGEST).stat().st_size == size


def test_a_server_without_ranges_sends_the_whole_file(hub: FakeHub, published):
    hub.repositories[NAME].knows_ranges = False
    content = (published / LARGEST).read_bytes()
    part = _blobs() / f"{hashlib.sha256(content).hexdigest()}.incomplete"
    part.parent.mkdir(parents=True)
    part.write_bytes(content[:5000])
    place = fetched()
    assert (place.folder / LARGEST).read_bytes() == content
    assert hub.bytes[LARGEST] == len(content)


def _blobs() -> Path:
    return Path(constants.HF_HUB_CACHE, "models--our-org--shapes", "blobs")


def test_a_damaged_part_is_not_kept(hub: FakeHub):
    fetched(weights=False)
    repository = hub.repositories[NAME]
    sha256 = repository.entry(repository.folder / LARGEST)["lfs"]["oid"]
    blobs = _blobs()
    (blobs / f"{sha256}.incomplete").write_bytes(b"0" * 5000)
    with pytest.raises(CheckpointError, match="is not the file that its hash describes"):
        fetched()
    assert not list(blobs.glob("*.incomplete"))
    fetched()
    assert (blobs / sha256).is_file()


def test_offline_the_cache_is_enough_or_a_sentence_is_printed(hub: FakeHub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "unset HF_HUB_OFFLINE to download it" in failure(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    place = fetched()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.forget()
    assert fetched() == place and not hub.gets
    snapshot = (place.folder / LARGEST).resolve()
    snapshot.unlink()
    assert "the hub's cache" in failure(NAME) and not hub.gets


@pytest.mark.parametrize(
    "name, expected",
    [
        ("our-org/gated", "accept its licence at {url}/our-org/gated"),
        ("our-org/private", "no repository our-org/private or it is private; check the name"),
        ("our-org/missing", "there is no folder our-org/missing, and the hub has no repository"),
        (f"{NAME}@v9", f"{NAME} has no revision v9"),
        ("our-org/other", "our-org/other holds a StableDiffusionPipeline; supported are"),
        ("our-org/pickled", "cannot be read in its place, for a pickle may run code"),
        ("our-org/partial", "our-org/partial: the checkpoint lacks the folder connector"),
        ("our-org/bare", "our-org/bare has no model_index.json"),
    ],
)
def test_one_sentence_for_what_cannot_be_downloaded(hub: FakeHub, name, expected):
    assert expected.format(url=hub.url) in failure(name)
    assert not any(path.endswith(".safetensors") for path in hub.gets)


def test_a_token_opens_what_is_gated_and_private(hub: FakeHub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert fetched("our-org/gated", weights=False).origin.startswith("our-org/gated@")
    assert fetched("our-org/private", weights=False).origin.startswith("our-org/private@")
    monkeypatch.setenv("HF_TOKEN", "hf_of_another")
    assert "with the token's account" in failure("our-org/gated")


def test_too_little_disk_is_said_before_the_download(hub: FakeHub, monkeypatch):
    usage = shutil.disk_usage(constants.HF_HUB_CACHE.rpartition("/")[0])
    monkeypatch.setattr(
        hub_module.shutil, "disk_usage", lambda path: usage._replace(free=1_000_000)
    )
    line = failure(NAME)
    assert "has 1.00 MB free" in line and "set HF_HOME" in line
    assert LARGEST not in hub.gets


def test_no_network(hub: FakeHub, monkeypatch):
    place = fetched()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert fetched() == place
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert "cannot be reached" in failure("our-org/gated")


def test_inspect_downloads_no_weights(hub: FakeHub, tmp_path):
    out = tmp_path / "figures.json"
    done = CliRunner().invoke(retouch, ["inspect", NAME, "--json", str(out)])
    assert done.exit_code == 0, done.output
    options = ["inspect", str(CHECKPOINT), "--json", str(tmp_path / "local")]
    local = CliRunner().invoke(retouch, options)
    assert local.exit_code == 0
    assert json.loads(out.read_text()) == json.loads((tmp_path / "local").read_text())
    assert hub.bytes[LARGEST] <= 100_001
    assert "headers of" in done.stderr and "an export downloads" in done.stderr
    done = CliRunner().invoke(retouch, ["inspect", NAME, "--hashes"])
    assert done.exit_code != 0 and "--hashes needs the files" in done.stderr


def test_calibration_pairs_of_a_commit_stay(hub: FakeHub):
    folder = calibration_folder(Path(NAME))
    (folder / "calibration").mkdir()
    (folder / "calibration" / "pairs.jsonl").write_text("mine\n")
    place = fetched()
    assert place.folder == folder
    assert (folder / "calibration" / "pairs.jsonl").read_text() == "mine\n"
    settings = fetched(weights=False).folder
    assert settings != folder


@pytest.mark.parametrize(
    "text, expected",
    [
        ("org/name", HubName("org/name")),
        ("org/na.me-4B@v1.0", HubName("org/na.me-4B", "v1.0")),
        ("org/name@refs/pr/1", HubName("org/name", "refs/pr/1")),
        ("/org/name", None),
        ("../name", None),
        ("a/b/c", None),
        ("name", None),
        ("org/name@", None),
        ("checkpoints/photo", None),  # a folder of the checkout
        ("checkpoints/shapez", None),
    ],
)
def test_names(text, expected, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert hub_name(Path(text)) == expected
