"""What the shipped checkpoint can do is told wherever a sentence is asked for, and of no other
checkpoint."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
from html import escape
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from rich.console import Console

from pictures import file_of, scene
from retouch.api.response import EditAnswer, EditInfo, Operation
from retouch.artifacts.manifest import Manifest
from retouch.families.instructx.parser_output import WITHOUT_BOXES
from retouch.launcher.server import ROOT
from retouch_clients.cli.edit_report import report
from retouch_clients.commands.edit import edit
from retouch_clients.shipped_checkpoint import abilities
from retouch_clients.shipped_checkpoint.abilities import (
    HEADS,
    MOST_OBJECTS,
    SHAPES,
    SHIPPED,
    Abilities,
)
from retouch_clients.web import html
from retouch_clients.web.turns import History, Turn
from retouch_export.staleness import checkpoint_digest

FIELDS = {
    "op": ["none", "remove", "tint", "background"],
    "target_kind": ["none", "star", "cat"],
    "value_colour": ["none", "mauve", "teal"],
    "value_size": ["none", "tiny"],
    "value_place": ["none", "left", "right"],
}
SHIPPED_DIGEST = checkpoint_digest(SHIPPED)
OTHERS = {
    "another": "0123456789ab",
    "an older server": "",
    "a part of the digest": SHIPPED_DIGEST[:4],
}


def plain(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def other(tmp_path):
    """A checkpoint whose heads know other words."""
    file = tmp_path / HEADS
    file.parent.mkdir()
    file.write_text(json.dumps({"fields": FIELDS, "slots": 1}))
    return tmp_path


def info_of(checkpoint: str, operations=()) -> EditInfo:
    return EditInfo(
        "final",
        7,
        "bf16",
        "asked for by name",
        3,
        operations=list(operations),
        versions={"retouch": "0", "checkpoint": checkpoint} if checkpoint else {},
    )


def printed(info: EditInfo) -> str:
    text = io.StringIO()
    report(EditAnswer(b"", (3, 3), info), Console(file=text))
    return text.getvalue()


def test_every_word_of_the_heads_is_there():
    """But those that it reads and does not make."""
    heads = json.loads((SHIPPED / HEADS).read_text())
    fields = heads["fields"]
    left_out = {*WITHOUT_BOXES, *heads["unsupported"]}
    reported = abilities.shipped()
    for name in ("op", "value_colour", "value_size", "value_place", "amount", "where"):
        values = fields.get(name, ())
        assert all(word in reported for word in values if word not in left_out), name
    objects = [kind for kind in fields["target_kind"][1:] if kind not in {*SHAPES, *left_out}]
    assert all(shape in reported for shape in SHAPES)
    assert all(kind in reported for kind in objects[:MOST_OBJECTS])
    unsupported = [op for op in fields["op"] if op in left_out]
    assert not any(f" {op}," in reported or f" {op}." in reported for op in unsupported)
    assert (
        fields["target_colour"] == fields["value_colour"]
        and fields["value_kind"] == fields["target_kind"]
    )
    is_rejecting = "unknown" in fields["op"]
    assert reported.endswith(abilities.REJECTION if is_rejecting else abilities.NO_REJECTION)


def test_other_heads_have_other_words(other):
    assert Abilities.of(other).sentences() == [
        "The shipped checkpoint edits photographs: tint.",
        "It can remove objects: cat.",
        "It can remove simple shapes, and change a drawing's background.",
        "Its shape is star, its colours mauve and teal.",
        "Its size is tiny, its places left and right.",
        "An instruction may ask for at most one change.",
        abilities.NO_REJECTION,
    ]


@pytest.mark.parametrize("part", ["op", "value_colour", "target_kind", "value_place"])
def test_readme_and_the_heads_agree(part, monkeypatch, tmp_path):
    readme = plain((ROOT / "README.md").read_text())
    assert abilities.shipped() in readme
    heads = json.loads((SHIPPED / HEADS).read_text())
    heads["fields"][part].append("novelty")
    (tmp_path / HEADS).parent.mkdir()
    (tmp_path / HEADS).write_text(json.dumps(heads))
    monkeypatch.setattr(abilities, "SHIPPED", tmp_path)
    assert abilities.shipped() not in readme, "a new word has to be told there too"


def test_a_checkpoint_that_knows_what_it_does_not_know(tmp_path):
    heads = json.loads((SHIPPED / HEADS).read_text())
    edits = [op for op in heads["fields"]["op"] if op not in ("nothing", "unknown")]
    read = []
    for name, further in (("known", []), ("knowing", ["nothing", "unknown"])):
        file = tmp_path / name / HEADS
        file.parent.mkdir(parents=True)
        heads["fields"]["op"] = [*edits, *further]
        file.write_text(json.dumps(heads))
        read.append(Abilities.of(tmp_path / name))
    known, knowing = read
    assert known.operations == knowing.operations
    assert known.sentences()[:-1] == knowing.sentences()[:-1]
    assert known.sentences()[-1] == abilities.NO_REJECTION
    assert knowing.sentences()[-1] == abilities.REJECTION


def test_the_help_of_edit_tells_it():
    assert abilities.shipped() in plain(CliRunner().invoke(edit, ["--help"]).output)


@pytest.mark.parametrize("understood", [None, True, False])
@pytest.mark.parametrize("operations", [[], [Operation("remove", "red circle")]])
def test_an_answer_tells_it_where_nothing_was_understood(operations, understood):
    info = dataclasses.replace(info_of(SHIPPED_DIGEST[:12], operations), understood=understood)
    reported = printed(info)
    assert (abilities.shipped() in reported) == (not operations or understood is False)
    assert ("understood: remove red circle" if operations else "understood: nothing") in reported


@pytest.mark.parametrize("checkpoint", OTHERS.values(), ids=OTHERS)
def test_an_answer_of_another_checkpoint_does_not(checkpoint):
    reported = printed(info_of(checkpoint, [Operation("sharpen", "eyes")]))
    assert "understood: sharpen eyes" in reported and "shipped" not in reported
    assert "understood" not in printed(info_of(checkpoint))


@pytest.mark.parametrize(
    "checkpoint, sentence",
    [
        (SHIPPED_DIGEST[:12], "Nothing of this sentence was understood."),
        ("0123456789ab", "does not report operations"),
    ],
)
def test_the_page_tells_of_a_sentence_without_operations(checkpoint, sentence):
    assert sentence in html.details(Turn(b"", "x", info_of(checkpoint)))


def test_without_the_checkpoint_nothing_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(abilities, "SHIPPED", tmp_path / "none")
    assert abilities.shipped() == ""


# -- the page --------------------------------------------------------------------------------------


def manifest_of(family: str, digest: str) -> Manifest:
    return Manifest(family, digest, "bf16", "float32", 20)


PLACES = {
    "here": ("127.0.0.1:8001", manifest_of("instructx", SHIPPED_DIGEST), True),
    "by name": ("localhost:8001", manifest_of("instructx", SHIPPED_DIGEST), True),
    "elsewhere": ("10.1.2.3:8001", manifest_of("instructx", SHIPPED_DIGEST), False),
    "kontext": ("127.0.0.1:8001", manifest_of("flux-kontext", "ab" * 32), False),
    "nothing exported": ("127.0.0.1:8001", None, False),
}


@pytest.fixture
def page_app():
    """The class of the page; imported here because that takes seconds, in every worker that
    collects tests."""
    from retouch_clients.web.app import App

    return App


@pytest.mark.parametrize("place", PLACES)
def test_the_page_tells_it_where_the_server_has_it(page_app, place, monkeypatch):
    address, manifest, shown = PLACES[place]
    monkeypatch.setattr(abilities, "lane_manifest", lambda _: manifest)
    app = page_app(address)

    class Absent:
        async def lanes(self):
            return ()

        async def ready(self):
            return False

    app.edits._client = Absent()
    update = asyncio.run(
        app.tabs.opened({app.page.token: ""}, SimpleNamespace(session_hash="tab"))
    )[app.page.abilities]
    assert update["visible"] == shown and (escape(abilities.shipped()) in update["value"]) == shown


@pytest.mark.parametrize("checkpoint", [SHIPPED_DIGEST[:12], *OTHERS.values()])
def test_an_edit_shows_the_page_which_checkpoint_it_is(page_app, checkpoint, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    app = page_app("10.1.2.3:1")
    photo = file_of(scene())

    class Quick:
        async def edit(self, image, instruction, **options):
            yield EditAnswer(photo, (3, 3), info_of(checkpoint))

    async def final():
        app.edits._client = Quick()
        return [update async for update in app.editing.answers(History.of(photo), "x", {}, "tab")][
            -1
        ]

    assert asyncio.run(final())[app.page.abilities]["visible"] == (
        checkpoint == SHIPPED_DIGEST[:12]
    )
