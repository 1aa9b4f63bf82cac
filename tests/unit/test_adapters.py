"""Adapters by request: how they are named, the folder of them, and which edits share what."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest

from retouch.api.adapters import MAX_ADAPTERS, parse_adapters
from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.artifacts import adapter_folder
from retouch.artifacts.adapter_folder import adapters_in, read_adapter, read_matrices
from retouch.artifacts.manifest import ArtifactError, Manifest
from retouch.artifacts.matrices import matrices_of, write_matrices
from retouch.backends.base import joined
from retouch.diffusion.preview import PreviewMap
from retouch.engine.adapter_store import AdapterStore
from retouch.engine.denoiser import Denoiser
from retouch.engine.edit import Edit
from retouch.engine.engine import Engine
from retouch.engine.metrics import AdapterCounts
from retouch.families.denoise_request import DenoiseRequest

NETWORK = "network"
SIZE = 4 * (6 * 2 + 2 * 5)  # bytes of one adapter's matrices


def matrices(seed, module="blocks.0.to_q", rank=2):
    rng = np.random.default_rng(seed)
    return {
        f"{module}/down": rng.standard_normal((6, rank), np.float32),
        f"{module}/up": rng.standard_normal((rank, 5), np.float32),
    }


def added(folder, name, network=NETWORK, **options):
    return adapter_folder.write_adapter(
        folder, name, network, matrices(len(name), **options), "lora.safetensors", "0" * 64
    )


@pytest.fixture
def folder(tmp_path):
    for name in ("ink", "sketch"):
        added(tmp_path, name)
    return tmp_path


def as_they_are(placed):
    return placed


# -- ADAPTER ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, adapters",
    {
        "": (),
        "  ": (),
        "sketch": (("sketch", 1.0),),
        "sketch:0.8, ink : -.5": (("ink", -0.5), ("sketch", 0.8)),
        "sketch:0": (),
        "sketch:0,ink": (("ink", 1.0),),
        "a-2:4": (("a-2", 4.0),),
    }.items(),
)
def test_names_and_scales(text, adapters):
    assert parse_adapters(text) == adapters


@pytest.mark.parametrize(
    "text, message",
    {
        "Sketch": "ADAPTER 'Sketch' is no name of an adapter",
        "../etc": "ADAPTER '../etc' is no name of an adapter",
        "a--b": "is no name of an adapter",
        ":1": "ADAPTER '' is no name of an adapter",
        "ink,": "ADAPTER '' is no name of an adapter",
        "ink:": "ADAPTER '' is no scale; it must be a number, as sketch:0.8",
        "ink:strong": "ADAPTER 'strong' is no scale",
        "ink:5": "ADAPTER the scale of ink is 5.0; it must be from -4 to 4",
        "ink:nan": "ADAPTER the scale of ink is nan; it must be a finite number from -4 to 4",
        "ink,ink:0.5": "ADAPTER names ink twice; name it once, with one scale",
        ",".join(f"a{i}" for i in range(MAX_ADAPTERS + 1)): "at most 4 are allowed",
    }.items(),
)
def test_what_is_refused_is_one_sentence(text, message):
    with pytest.raises(RequestError, match=message.replace("(", r"\(")) as refused:
        parse_adapters(text)
    assert refused.value.field == "ADAPTER"
    with pytest.raises(RequestError):
        EditRequest(b"x", "y", adapter=text).validate()


# -- the folder ------------------------------------------------------------------------------------


def test_matrices_come_back(tmp_path):
    from safetensors.numpy import load_file

    before = matrices(0) | {"x/up": np.zeros((2, 0), np.float32)}
    write_matrices(tmp_path / "file", before)
    for after in (
        matrices_of(np.fromfile(tmp_path / "file", np.uint8)),
        load_file(tmp_path / "file"),
    ):
        assert after.keys() == before.keys()
        for name in before:
            np.testing.assert_array_equal(after[name], before[name])


def test_the_folder_is_beside_the_repository_or_the_environments(tmp_path, monkeypatch):
    monkeypatch.delenv("RETOUCH_ADAPTERS", raising=False)
    assert adapter_folder.adapter_folder(tmp_path / "models") == tmp_path / "adapters"
    monkeypatch.setenv("RETOUCH_ADAPTERS", str(tmp_path / "other"))
    assert adapter_folder.adapter_folder(tmp_path / "models") == tmp_path / "other"


def test_add_replace_list_and_remove(folder):
    assert list(adapters_in(folder)) == ["ink", "sketch"]
    before = read_adapter(folder, "ink")
    assert (before.rank, before.modules, before.source) == (2, 1, "lora.safetensors")
    after = added(folder, "ink", rank=3)
    assert after.rank == 3 and after.sha256 != before.sha256
    assert sorted(os.listdir(folder / "ink")) == sorted([after.file, adapter_folder.MANIFEST])
    assert not list(folder.glob(".*"))
    adapter_folder.remove_adapter(folder, "ink")
    assert list(adapters_in(folder)) == ["sketch"]
    with pytest.raises(ArtifactError, match="the adapter ink is not in"):
        adapter_folder.remove_adapter(folder, "ink")


@pytest.mark.parametrize("name", ("..", "../sketch", "a/b", "", "Sketch"))
def test_no_path_is_a_name(folder, name):
    with pytest.raises(ArtifactError, match="is no name of an adapter"):
        read_adapter(folder, name)


@pytest.mark.parametrize("change", ("cut", "gone", "another"))
def test_a_file_that_is_not_its_manifests_is_refused(folder, change):
    manifest = read_adapter(folder, "ink")
    path = folder / "ink" / manifest.file
    content = path.read_bytes()
    path.write_bytes(content[:-4] if change == "cut" else bytes(len(content)))
    if change == "gone":
        path.unlink()
    with pytest.raises(ArtifactError, match="add it again"):
        read_matrices(folder, manifest)


def test_a_manifest_names_no_other_folder(folder):
    path = folder / "ink" / adapter_folder.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": "../../etc"}))
    assert read_adapter(folder, "ink").name == "ink"
    path.write_text("{")
    assert list(adapters_in(folder)) == ["sketch"]


def test_too_large_a_one_is_not_added(tmp_path, monkeypatch):
    monkeypatch.setattr(adapter_folder, "MAX_BYTES", 8)
    with pytest.raises(ArtifactError, match="the adapter ink takes"):
        added(tmp_path, "ink")
    assert not (tmp_path / "ink").exists()


def test_networks_of_one_architecture_are_the_same():
    def lane(**config):
        networks = {"transformer": {"class": "Net", "config": config}}
        return Manifest("family", "sha", "bf16", "bfloat16", 20, settings={"networks": networks})

    plain = adapter_folder.fingerprint(lane(layers=2, _name_or_path="a"))
    assert plain == adapter_folder.fingerprint(lane(_diffusers_version="1", layers=2))
    assert plain != adapter_folder.fingerprint(lane(layers=3))
    assert adapter_folder.fingerprint(Manifest("f", "s", "bf16", "b", 20)) == ""


# -- the store -------------------------------------------------------------------------------------


def test_an_adapter_is_read_once_and_scaled(folder):
    store = AdapterStore(folder, NETWORK)
    whole = store.pin((("sketch", 1.0),), as_they_are)
    half = store.pin((("sketch", 0.5),), as_they_are)
    again = store.pin((("sketch", 1.0),), as_they_are)
    assert (
        again == whole and again.matrices["blocks.0.to_q/up"] is whole.matrices["blocks.0.to_q/up"]
    )
    assert whole.key != half.key
    for name, matrix in matrices(len("sketch")).items():
        np.testing.assert_array_equal(whole.matrices[name], matrix)
        factor = np.float32(0.5 if name.endswith("/up") else 1)
        np.testing.assert_array_equal(half.matrices[name], matrix * factor)
    counts = AdapterCounts(store.counts)
    assert (counts.hits, counts.loads, counts.loaded, counts.bytes) == (1, 2, 2, 2 * SIZE)


def test_several_add_up(folder):
    added(folder, "other", module="blocks.1.to_q")
    pair = AdapterStore(folder, NETWORK).pin(
        (("ink", -0.5), ("other", 2.0), ("sketch", 1.0)), as_they_are
    )
    ours = pair.matrices["blocks.0.to_q/down"] @ pair.matrices["blocks.0.to_q/up"]
    ink, sketch = (matrices(len(name)) for name in ("ink", "sketch"))
    expected = sum(
        scale * one["blocks.0.to_q/down"] @ one["blocks.0.to_q/up"]
        for scale, one in ((-0.5, ink), (1.0, sketch))
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    other = matrices(len("other"), module="blocks.1.to_q")
    np.testing.assert_allclose(
        pair.matrices["blocks.1.to_q/up"], 2 * other["blocks.1.to_q/up"], rtol=1e-6
    )


def test_the_least_recently_used_go_first_and_no_running_ones(folder):
    added(folder, "other")
    limit = SIZE + read_adapter(folder, "ink").bytes  # one, and the file of another
    store = AdapterStore(folder, NETWORK, limit)
    running = store.pin((("ink", 1.0),), as_they_are)
    for name in ("sketch", "other", "sketch"):
        store.unpin(store.pin(((name, 1.0),), as_they_are))
        assert store.counts.bytes <= limit
    counts = AdapterCounts(store.counts)
    assert (counts.loads, counts.evictions, counts.loaded) == (4, 2, 2)
    store.pin((("ink", 1.0),), as_they_are)
    assert AdapterCounts(store.counts).hits == 1
    store.pin((("other", 1.0),), as_they_are)
    with pytest.raises(RequestError, match="take the memory that adapters may") as full:
        store.pin((("sketch", 1.0),), as_they_are)
    assert full.value.code == "UNAVAILABLE" and full.value.retry_after
    assert running.matrices


def test_what_cannot_be_loaded_is_one_sentence(folder):
    added(folder, "foreign", network="another")
    store = AdapterStore(folder, NETWORK, limit=8)

    def message(name, store=store):
        with pytest.raises(RequestError) as refused:
            store.pin(((name, 1.0),), as_they_are)
        assert refused.value.field == "ADAPTER"
        return str(refused.value)

    assert message("pencil") == "ADAPTER pencil is unknown; there are ink, sketch"
    assert message("foreign").endswith("for another network than this lane's; add it again")
    assert "raise the lane's parameter adapter_bytes" in message("ink")
    for empty in (AdapterStore(None), AdapterStore(folder / "nothing", NETWORK)):
        assert message("ink", empty).endswith("is unknown; add it by `retouch adapters add`")
    (folder / "ink" / read_adapter(folder, "ink").file).write_bytes(b"")
    assert "is damaged" in message("ink", AdapterStore(folder, NETWORK))


def test_a_new_file_of_the_name_is_another_adapter(folder):
    store = AdapterStore(folder, NETWORK)
    before = store.pin((("ink", 1.0),), as_they_are)
    added(folder, "ink", rank=3)
    after = store.pin((("ink", 1.0),), as_they_are)
    assert before.key != after.key and len(after.matrices["blocks.0.to_q/up"]) == 3


# -- the denoiser ----------------------------------------------------------------------------------

SETTINGS = {
    "shift": 3.0,
    "default_steps": 2,
    "patch": 2,
    "slots": 2,
    "networks": {"transformer": {"class": "Net", "config": {}}},
}
CONDITIONING = {
    "prompt_embeds": np.zeros((4, 6), np.float32),
    "boxes": np.zeros((2, 2, 4), np.float32),
}
LATENTS = np.random.default_rng(0).standard_normal((3, 4, 6), np.float32)


class Graph:
    """Stands in for a backend and keeps what it was fed."""

    takes_adapters = True

    def __init__(self, folder, graph, keep=()):
        self.workers = 1
        self.graph = graph
        self.manifest = SimpleNamespace(settings=SETTINGS, family="instructx")
        self.adapted = 0
        self.fed = []

    def accept_adapters(self):
        if not self.takes_adapters:
            raise ArtifactError("a plan takes no adapter")
        self.adapted += 1

    def placed(self, matrices):
        return matrices

    def run(self, **inputs):
        inputs = {name: joined(value) for name, value in inputs.items()}
        self.fed.append(inputs)
        if self.graph == "reference":
            return {"k": inputs["tokens"], "v": inputs["tokens"]}
        return {"velocity": inputs["tokens"]}


@pytest.fixture
def denoiser(monkeypatch, folder):
    monkeypatch.setattr(
        PreviewMap, "load", lambda folder: PreviewMap(np.zeros((12, 48)), np.zeros(48))
    )
    network = adapter_folder.fingerprint(SimpleNamespace(settings=SETTINGS))
    for name in ("ink", "sketch"):
        added(folder, name, network=network)
    return Denoiser("folder", Graph, adapters=folder)


def request(*adapters):
    return DenoiseRequest(
        LATENTS, CONDITIONING, np.ones(6, bool), seed=1, adapters=parse_adapters(",".join(adapters))
    )


def test_graphs_take_the_matrices_of_their_edit(denoiser):
    for name in ("ink", "", "sketch"):
        list(denoiser.run(request(*filter(None, [name]))))
    for graph in (denoiser._step, denoiser._reference):
        ups = [inputs.get("blocks.0.to_q/up") for inputs in graph.fed]
        names = ["ink", "", "sketch"] if graph is denoiser._reference else ["ink"] * 2 + [""] * 2
        for name, up in zip(names, ups):
            assert (up is None) == (not name)
            if name:
                np.testing.assert_array_equal(up, matrices(len(name))["blocks.0.to_q/up"])


def test_a_reference_belongs_to_its_adapters(denoiser):
    """A prefill serves the edits of equal adapters alone."""
    denoiser.prefill(LATENTS, parse_adapters("ink:0.5"))
    for adapters in (("ink:0.5",), ("ink",), ("sketch:0.5",), ()):
        list(denoiser.run(request(*adapters)))
    assert (denoiser.references.counts.hits, denoiser.references.counts.misses) == (1, 4)


def test_edits_of_equal_adapters_share_steps(denoiser):
    edits = [
        denoiser.begin(request(*adapters))
        for adapters in (("ink", "sketch:0.5"), ("sketch:.5", "ink"), ("ink",), (), ("ink:0",))
    ]
    first, same, other, none, zero = (edit.batch_key for edit in edits)
    assert first == same and none == zero and len({first, other, none}) == 3
    for edit in edits:
        denoiser.end(edit)
        denoiser.end(edit)  # a second call does nothing
    assert not any(entry.pinned for entry in denoiser.adapters._cache._entries.values())


def test_graphs_have_branches_from_the_start_where_there_are_adapters(denoiser, folder):
    assert denoiser._step.adapted == denoiser._reference.adapted == 1
    empty = Denoiser("folder", Graph, adapters=folder / "nothing")
    list(empty.run(request()))
    assert not empty._step.adapted


def test_a_lane_without_branches_says_so(denoiser, folder, monkeypatch):
    monkeypatch.setattr(Graph, "takes_adapters", False)
    plan = Denoiser("folder", Graph, adapters=folder)
    list(plan.run(request()))
    for call in (
        lambda: list(plan.run(request("ink"))),
        lambda: plan.prefill(LATENTS, (("ink", 1.0),)),
    ):
        with pytest.raises(RequestError, match="ADAPTER cannot be used: a plan takes no adapter"):
            call()
    assert not any(entry.pinned for entry in plan.adapters._cache._entries.values())


def test_a_refused_edit_keeps_no_adapter(denoiser):
    engine = Engine(denoiser)
    late = Edit("", request("ink"), lambda progress: None, lambda failure: None, deadline=0.0)
    with pytest.raises(RequestError, match="DEADLINE_MS"):
        engine.admit(late)
    engine.stop()
    assert not any(entry.pinned for entry in denoiser.adapters._cache._entries.values())
