"""Batches: which edits there are, what the journal remembers, and which are done again."""

from __future__ import annotations

import asyncio
import json

import click
import pytest
from click.testing import CliRunner

from pictures import file_of, scene
from retouch.api.errors import RequestError
from retouch.api.limits import IMAGE_FORMATS
from retouch.api.response import EditAnswer, EditInfo
from retouch_clients.batch import run as running
from retouch_clients.batch.folder import IMAGES, SUFFIXES, listing
from retouch_clients.batch.job import Job, ListError, jobs_of_folder, jobs_of_list
from retouch_clients.batch.journal import NAME, Journal
from retouch_clients.command import retouch

PLAIN = {"region": b"auto", "format": "png"}


class Client:
    """Edits as the test says: by the sentence, an error, or the image's own bytes back."""

    def __init__(self, failures=None, pause=0.0):
        self.failures = failures or {}
        self.pause = pause
        self.seen = []
        self.at_once = 0
        self.most = 0

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def edit_one(self, image, instruction, **fields):
        self.seen.append((image, instruction, fields))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(self.pause)
        finally:
            self.at_once -= 1
        if failure := self.failures.get(image):
            raise failure
        return EditAnswer(
            b"edited " + image, (3, 3), EditInfo("final", fields["seed"], "bf16", steps=3)
        )


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("b.png", "a.jpg", "c.webp"):
        (folder / name).write_bytes(name.encode())
    (folder / "notes.txt").write_text("no image")
    return folder


def do(jobs, out, client, workers=2, force=False):
    with Journal(out) as journal:
        return asyncio.run(
            running.run(jobs, out, client, journal, workers, lambda results: None, force)
        )


def entries(out):
    return [json.loads(line) for line in (out / NAME).read_text().splitlines()]


# -- which edits -----------------------------------------------------------------------------------


def test_a_folders_images_by_name(photos):
    jobs = jobs_of_folder(photos, "make it blue", PLAIN)
    assert [(job.image.name, job.out) for job in jobs] == [
        ("a.jpg", "a.png"),
        ("b.png", "b.png"),
        ("c.webp", "c.png"),
    ]
    assert {job.instruction for job in jobs} == {"make it blue"}


def test_results_have_names_of_their_own(photos):
    (photos / "a.png").write_bytes(b"x")
    (photos / "a-2.png").write_bytes(b"x")
    outs = [job.out for job in jobs_of_folder(photos, "x", PLAIN | {"format": "jpeg;quality=50"})]
    assert outs == ["a-2.jpg", "a.jpg", "a-3.jpg", "b.jpg", "c.jpg"]


CSV = """\ufeffimage,instruction,steps,mask,references,out,seed
a.jpg,"make it blue, please",9,,b.png;c.webp,,
b.png,remove it,,a.jpg,,deep/own.png,7
"""
LINES = """{"image": "a.jpg", "instruction": "make it blue, please", "steps": 9, \
"references": ["b.png", "c.webp"]}

{"image": "b.png", "instruction": "remove it", "mask": "a.jpg", "out": "deep/own.png", "seed": 7}
"""


@pytest.mark.parametrize("name, text", [("list.csv", CSV), ("list.jsonl", LINES)])
def test_a_list_says_what_differs(photos, name, text):
    (photos / name).write_text(text)
    first, second = jobs_of_list(photos / name, PLAIN | {"steps": 2})
    assert (first.instruction, first.out) == ("make it blue, please", "a.png")
    assert first.fields == PLAIN | {"steps": 9, "references": (photos / "b.png", photos / "c.webp")}
    assert second.out == "deep/own.png" and second.fields == PLAIN | {
        "steps": 2,
        "region": photos / "a.jpg",
        "seed": 7,
    }
    request = second.request()
    assert (request.image, request.region, request.seed, request.steps) == (
        b"b.png",
        b"a.jpg",
        7,
        2,
    )
    assert first.request().references == (b"b.png", b"c.webp")


@pytest.mark.parametrize(
    "text, message",
    [
        ("image,instruction\na.jpg,\n", "line 2: instruction is missing"),
        ("image,sentence\na.jpg,x\n", "there is no column sentence"),
        ("image,instruction,steps\na.jpg,x,many\n", "steps is 'many'; it must be a whole number"),
        ("image,instruction,guidance\na.jpg,x,much\n", "guidance is 'much'; it must be a number"),
        ("image,instruction,out\na.jpg,x,../b.png\n", "must be a name below"),
        ("image,instruction,out\na.jpg,x,./\n", "must be a name below"),
        ("image,instruction,out\na.jpg,x,./journal.jsonl\n", "the batch's journal has that name"),
        (
            "image,instruction,out\na.jpg,x,b.png\na.jpg,y,deep/.././b.png\n",
            "two rows have the same out",
        ),
        (
            f"image,instruction\na.jpg,{'x' * 200_000}\n",
            "list.csv, line 2: field larger than field limit",
        ),
        ("image,instruction\na.jpg,x,y\n", "more than the head"),
        ("image,instruction,out\na.jpg,x,o.png\na.jpg,y,o.png\n", "two rows have the same out"),
    ],
)
def test_a_list_that_cannot_be_used_is_told(photos, text, message):
    (photos / "list.csv").write_text(text)
    with pytest.raises(ListError, match=message):
        jobs_of_list(photos / "list.csv", PLAIN)


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl"])
def test_a_list_that_is_not_utf_8_is_told(photos, name):
    (photos / name).write_bytes('{"image": "a.jpg", "instruction": "größer"}\n'.encode("latin-1"))
    with pytest.raises(ListError, match=f"{name} is not text in UTF-8"):
        jobs_of_list(photos / name, PLAIN)


@pytest.mark.parametrize(
    "column, message",
    [
        ('"seed": Infinity', "seed is inf; it must be a whole number"),
        ('"seed": 1e400', "seed is inf; it must be a whole number"),
        ('"steps": 7.9', "steps is 7.9; it must be a whole"),
        (f'"guidance": 1{"0" * 400}', "it must be a number"),
        ('"seed": [7]', "it must be a whole number"),
    ],
)
def test_numbers_that_are_none_are_told(photos, column, message):
    (photos / "list.jsonl").write_text(f'{{"image": "a.jpg", "instruction": "x", {column}}}')
    with pytest.raises(ListError, match=message):
        jobs_of_list(photos / "list.jsonl", PLAIN)


def test_a_whole_number_may_have_a_point(photos):
    (photos / "list.jsonl").write_text('{"image": "a.jpg", "instruction": "x", "steps": 7.0}')
    assert jobs_of_list(photos / "list.jsonl", PLAIN)[0].fields["steps"] == 7


def test_the_names_say_the_formats_where_nothing_else_does(photos):
    rows = "".join(f"a.jpg,x,{out}\n" for out in ("b.jpg", "c.webp", "", "deep/d.JPEG"))
    (photos / "list.csv").write_text(f"image,instruction,out\n{rows}")
    jobs = jobs_of_list(photos / "list.csv", {"region": b"auto"})
    formats = {"b.jpg": "jpeg", "c.webp": "webp", "a.png": "png", "deep/d.JPEG": "jpeg"}
    assert {job.out: job.request().format for job in jobs} == formats


@pytest.mark.parametrize(
    "out, format_", [("d", "webp"), ("d.webp", "webp"), ("d.jpg", "jpeg;quality=5")]
)
def test_a_format_that_is_asked_for_may_have_any_name_without_a_suffix(photos, out, format_):
    (photos / "list.csv").write_text(f"image,instruction,out\na.jpg,x,{out}\n")
    (job,) = jobs_of_list(photos / "list.csv", {"format": format_})
    assert (job.out, job.fields["format"]) == (out, format_)


@pytest.mark.parametrize(
    "out, fields, message",
    [
        ("b.tiff", {}, "must end in .png, .jpg, .jpeg or .webp"),
        ("b", {}, "must end in .png"),
        ("b.gif", {"format": "png"}, "must end in .png"),
        ("b.jpg", {"format": "webp"}, "is a jpeg file name"),
        ("-", {}, "a batch writes files"),
    ],
)
def test_names_that_say_no_format_or_another_are_told(photos, out, fields, message):
    (photos / "list.csv").write_text(f"image,instruction,out\na.jpg,x,{out}\n")
    with pytest.raises(ListError, match=message):
        jobs_of_list(photos / "list.csv", fields)


@pytest.mark.parametrize(
    "line",
    ["{", "[1]", '"a"', "a.jpg,x", "[" * 100_000, '{"image": "a.jpg", "instruction": "\\ud800"}'],
    ids=["cut", "list", "text", "csv", "deep", "half a character"],
)
def test_lines_that_are_no_objects_are_told(photos, line):
    (photos / "list.jsonl").write_text('{"image": "a.jpg", "instruction": "x"}\n' + line)
    with pytest.raises(ListError, match="list.jsonl, line 2: it must be a JSON object"):
        jobs_of_list(photos / "list.jsonl", PLAIN)


BREAKS = "one\u2028two\u2029three\u0085four"  # where other programs begin a line, and JSON does not


def test_a_sentence_may_hold_what_breaks_lines_elsewhere(photos, tmp_path):
    line = json.dumps({"image": "a.jpg", "instruction": BREAKS}, ensure_ascii=False)
    (photos / "list.jsonl").write_text(line + "\r\n", encoding="utf-8")
    jobs = jobs_of_list(photos / "list.jsonl", PLAIN)
    do(jobs, tmp_path / "out", Client())
    assert do(jobs, tmp_path / "out", Client()).done_before == 1, "the journal knows it again"


# -- what is done ----------------------------------------------------------------------------------


def test_all_are_edited_some_at_a_time(photos, tmp_path):
    client = Client(pause=0.02)
    jobs = jobs_of_folder(photos, "make it blue", PLAIN)
    results = do(jobs, tmp_path / "out", client, workers=2)
    assert (results.done, results.done_before, results.failed, client.most) == (3, 0, [], 2)
    assert (tmp_path / "out" / "a.png").read_bytes() == b"edited a.jpg"
    assert sorted(entry["out"] for entry in entries(tmp_path / "out")) == [
        "a.png",
        "b.png",
        "c.png",
    ]
    assert {(entry["status"], entry["lane"]) for entry in entries(tmp_path / "out")} == {
        ("done", "bf16")
    }
    assert all(entry["seed"] >= 0 for entry in entries(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.png",
        "b.png",
        "c.png",
        NAME,
    ]


def test_what_is_done_is_not_done_again(photos, tmp_path):
    jobs = jobs_of_folder(photos, "make it blue", PLAIN)
    do(jobs, tmp_path / "out", Client())
    again = Client()
    assert do(jobs, tmp_path / "out", again).done_before == 3 and again.seen == []


@pytest.mark.parametrize(
    "change",
    [
        lambda job: Job(job.image, "make it red", job.out, job.fields),
        lambda job: Job(job.image, job.instruction, job.out, job.fields | {"steps": 5}),
        lambda job: Job(job.image, job.instruction, job.out, job.fields | {"seed": 5}),
        lambda job: Job(job.image, job.instruction, "other.png", job.fields),
    ],
    ids=["sentence", "option", "seed", "name"],
)
def test_what_has_changed_is_another_edit(photos, tmp_path, change):
    first, *others = jobs_of_folder(photos, "make it blue", PLAIN)
    do([first, *others], tmp_path / "out", Client())
    again = Client()
    results = do([change(first), *others], tmp_path / "out", again, force=True)
    assert (results.done, results.done_before) == (1, 2)


def test_a_changed_image_and_a_lost_result_are_done_again(photos, tmp_path):
    jobs = jobs_of_folder(photos, "make it blue", PLAIN)
    do(jobs, tmp_path / "out", Client())
    (photos / "a.jpg").write_bytes(b"another picture")
    (tmp_path / "out" / "b.png").unlink()
    again = Client()
    assert do(jobs, tmp_path / "out", again, force=True).done_before == 1
    assert {image for image, *_ in again.seen} == {b"another picture", b"b.png"}


def test_a_failure_is_kept_and_tried_again(photos, tmp_path):
    jobs = jobs_of_folder(photos, "make it blue", PLAIN)
    bad = RequestError("IMAGE is damaged", "INVALID_ARGUMENT")
    results = do(jobs, tmp_path / "out", Client({b"b.png": bad}))
    ((job, failure),) = results.failed
    assert (results.done, job.image.name, str(failure)) == (2, "b.png", "IMAGE is damaged")
    (entry,) = (entry for entry in entries(tmp_path / "out") if entry["status"] == "failed")
    assert (entry["code"], entry["error"], entry["out"]) == (
        "INVALID_ARGUMENT",
        "IMAGE is damaged",
        "b.png",
    )
    assert not (tmp_path / "out" / "b.png").exists()
    again = Client()
    assert do(jobs, tmp_path / "out", again).done == 1 and len(again.seen) == 1


def test_an_instruction_that_is_not_understood_fails_alone(photos, tmp_path):
    """Once: the client repeats no such edit, and the others go on."""
    jobs = jobs_of_folder(photos, "sing", PLAIN | {"on_unknown": "refuse"})
    odd = RequestError("INSTRUCTION is odd", "INSTRUCTION_NOT_UNDERSTOOD", field="INSTRUCTION")
    client = Client({b"b.png": odd})
    assert do(jobs, tmp_path / "out", client).done == 2 and len(client.seen) == 3
    assert {fields["on_unknown"] for _, _, fields in client.seen} == {"refuse"}
    (entry,) = (entry for entry in entries(tmp_path / "out") if entry["status"] == "failed")
    assert (entry["code"], entry["error"]) == (odd.code, "INSTRUCTION is odd")


def test_a_file_that_is_gone_fails_alone(photos, tmp_path):
    jobs = jobs_of_folder(photos, "make it blue", PLAIN)
    (photos / "b.png").unlink()
    results = do(jobs, tmp_path / "out", Client())
    assert (
        results.done == 2
        and str(results.failed[0][1]) == "b.png cannot be read: No such file or directory"
    )


def test_a_server_that_is_away_ends_the_batch(photos, tmp_path):
    jobs = jobs_of_folder(photos, "make it blue", PLAIN)
    away = RequestError("no server answers", "UNAVAILABLE")
    with pytest.raises(RequestError, match="no server answers"):
        do(jobs, tmp_path / "out", Client({b"b.png": away}), workers=1)
    assert [entry["status"] for entry in entries(tmp_path / "out")] == ["done", "failed"]
    assert do(jobs, tmp_path / "out", Client()).done_before == 1


def test_a_batch_that_is_stopped_goes_on(photos, tmp_path):
    jobs = jobs_of_folder(photos, "make it blue", PLAIN)

    async def stopped(journal):
        client = Client(pause=0.05)
        work = asyncio.create_task(
            running.run(jobs, tmp_path / "out", client, journal, 1, lambda results: None)
        )
        while len(client.seen) < 2:
            await asyncio.sleep(0.001)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert client.at_once == 0

    with Journal(tmp_path / "out") as journal:
        asyncio.run(stopped(journal))
    results = do(jobs, tmp_path / "out", Client())
    assert (results.done, results.done_before) == (2, 1)


# -- the journal -----------------------------------------------------------------------------------


def test_a_line_that_was_cut_short_does_not_count(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "b.png").write_bytes(b"x")
    with Journal(tmp_path) as journal:
        journal.add("one", status="done", out="a.png")
    with (tmp_path / NAME).open("a") as file:
        file.write('{"key": "two", "status": "do')
    with Journal(tmp_path) as journal:
        assert journal.done("one") and not journal.done("two")
        journal.add("three", status="done", out="b.png")
    with Journal(tmp_path) as journal:
        assert journal.done("one") and journal.done("three")


def test_the_last_word_on_an_edit_counts(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    with Journal(tmp_path) as journal:
        journal.add("one", status="done", out="a.png")
        journal.add("one", status="failed", out="a.png")
        assert not journal.done("one")


def test_one_batch_at_a_time_in_a_folder(tmp_path):
    with (
        Journal(tmp_path),
        pytest.raises(click.ClickException, match="another batch is writing"),
        Journal(tmp_path),
    ):
        pass
    with Journal(tmp_path):
        pass


@pytest.mark.parametrize(
    "sentence, change",
    [("make it red", {}), ("make it green", {"steps": 4}), ("make it green", {"seed": 3})],
)
def test_another_batchs_results_are_kept(photos, tmp_path, sentence, change):
    first = jobs_of_folder(photos, "make it green", PLAIN)
    do(first, tmp_path / "out", Client())
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}
    client = Client()
    other = jobs_of_folder(photos, sentence, PLAIN | change)
    results = do(other, tmp_path / "out", client)
    assert (results.done, results.done_before, len(results.failed), client.seen) == (0, 0, 3, [])
    assert all("add --force" in str(failure) for _, failure in results.failed)
    assert before == {
        path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")
    }
    assert do(other, tmp_path / "out", Client(), force=True).done == 3
    assert do(other, tmp_path / "out", Client()).done_before == 3
    assert do(first, tmp_path / "out", Client()).done_before == 0, (
        "what was overwritten is not done any more"
    )


def test_a_result_that_cannot_be_written_fails_alone(photos, tmp_path):
    (tmp_path / "out" / "taken").mkdir(parents=True)
    (tmp_path / "out" / "taken" / "file").write_text("")
    long = f"{'y' * 252}.png"
    longest = f"{'ü' * 125}x.png"
    (photos / "list.csv").write_text(
        "image,instruction,out\n"
        + "".join(f"a.jpg,x,{out}\n" for out in ("taken/file/a.png", long, longest, "good.png"))
    )
    results = do(jobs_of_list(photos / "list.csv", PLAIN), tmp_path / "out", Client())
    messages = sorted(str(failure) for _, failure in results.failed)
    assert (
        results.done == 2
        and len(longest.encode()) == 255
        and (tmp_path / "out" / longest).is_file()
    )
    assert "Not a directory" in messages[0] and "256 bytes; at most 255" in messages[1]


def test_what_systems_leave_in_folders_is_no_image(photos):
    for name in (
        "._a.jpg",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        ".hidden.png",
        "scan.psd",
        "notes.pdf",
    ):
        (photos / name).write_bytes(b"x")
    (photos / "__MACOSX").mkdir()
    content = listing(photos)
    assert [path.name for path in content.images] == ["a.jpg", "b.png", "c.webp"]
    assert set(content.hidden) == {
        "._a.jpg",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        ".hidden.png",
        "__MACOSX",
    }
    assert content.others == {".psd": 1, ".pdf": 1, ".txt": 1}
    sentences = " ".join(content.skipped())
    assert (
        "skipped 6 hidden files" in sentences
        and "skipped 3 files of other types: 1 .pdf, 1 .psd, 1 .txt" in sentences
    )


def test_every_format_that_is_read_has_names():
    assert set(IMAGE_FORMATS) <= set(SUFFIXES) and {".png", ".jpg", ".jpeg", ".webp"} <= set(IMAGES)


@pytest.mark.parametrize("end", [",,,\n,,,\n", "\n\n", " , ,\t,\n", "'',,,\n".replace("''", "")])
def test_rows_without_anything_are_no_rows(photos, end):
    (photos / "list.csv").write_text(
        f"image,instruction,steps,out\na.jpg,x,,\n{end}b.png,y,,\n{end}"
    )
    assert [job.instruction for job in jobs_of_list(photos / "list.csv", PLAIN)] == ["x", "y"]


@pytest.mark.parametrize("name", ["._a.jpg", "__MACOSX/a.jpg", "__MACOSX/._b.png"])
def test_a_lists_rows_of_clutter_are_skipped(photos, name):
    (photos / "list.csv").write_text(f"image,instruction\na.jpg,x\n{name},x\n")
    skipped = []
    assert [job.image.name for job in jobs_of_list(photos / "list.csv", PLAIN, skipped)] == [
        "a.jpg"
    ]
    assert skipped == [name.rpartition("/")[2]]


# -- the command's own -----------------------------------------------------------------------------


def batch(*arguments):
    return CliRunner().invoke(retouch, ["batch", *map(str, arguments)])


def test_the_images_own_folder_is_no_place_for_results(photos):
    result = batch(photos, "make it blue", "-o", photos)
    assert (
        result.exit_code == 2
        and "is the folder of the images" in result.stderr
        and not (photos / NAME).exists()
    )


def test_either_a_folder_or_a_list(photos, tmp_path):
    (photos / "list.csv").write_text("image,instruction\na.jpg,x\n")
    for arguments in ((photos,), (photos, "x", "--list", photos / "list.csv"), ()):
        result = batch(*arguments, "-o", tmp_path / "out")
        assert result.exit_code == 2 and "either FOLDER and INSTRUCTION, or --list" in result.stderr
    (tmp_path / "empty").mkdir()
    assert "contains no images" in batch(tmp_path / "empty", "x", "-o", tmp_path / "out").stderr


def test_the_command_says_what_failed(photos, tmp_path, monkeypatch):
    bad = RequestError("IMAGE is damaged [odd]", "INVALID_ARGUMENT")
    monkeypatch.setattr(
        "retouch_clients.commands.batch.AsyncRetouch", lambda *_, **__: Client({b"b.png": bad})
    )
    result = batch(photos, "make it blue", "-o", tmp_path / "out")
    assert (
        result.exit_code == 1
        and "2 done, 1 failed" in result.stdout
        and "editing" not in result.stdout
    )
    assert (
        "skipped 1 file of other types: 1 .txt" in result.stdout
        and "made the folder" in result.stdout
    )
    assert "b.png" in result.stdout and "IMAGE is damaged [odd]" in result.stdout
    monkeypatch.setattr("retouch_clients.commands.batch.AsyncRetouch", lambda *_, **__: Client())
    result = batch(photos, "make it blue", "-o", tmp_path / "out")
    assert result.exit_code == 0 and "1 done, 2 done before, 0 failed" in result.stdout


def test_results_that_cannot_be_written_are_told(photos, tmp_path):
    (tmp_path / "file").write_bytes(file_of(scene()))
    result = batch(photos, "make it blue", "-o", tmp_path / "file" / "out")
    assert result.exit_code == 1 and "Error: " in result.stderr and "Traceback" not in result.output
