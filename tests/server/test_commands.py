"""The commands against a real server, as a person calls them."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from pictures import file_of, mask_file, scene
from processes import INTERRUPTIBLE
from retouch.api.response import EditInfo
from retouch.imaging import images
from retouch.launcher.server import HOST, ROOT
from retouch_clients.batch.journal import NAME
from retouch_clients.bench.closed_loop import draw
from retouch_clients.command import retouch

# what a sentence names is not in every scene
TRY = ("--on-unknown", "try")
SENTENCE = "make the red circle blue"


@pytest.fixture
def command(server):
    def call(name, *arguments, http=False):
        url = f"{HOST}:{server.http if http else server.grpc}"
        return CliRunner().invoke(
            retouch, [name, *map(str, arguments), "--url", url, *(["--http"] if http else [])]
        )

    return call


@pytest.fixture
def photo_file(tmp_path, photo):
    path = tmp_path / "photo.png"
    path.write_bytes(photo)
    return path


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.png").write_bytes(draw(number).image)
    return folder


def entries(out):
    return [json.loads(line) for line in (out / NAME).read_text().splitlines()]


# -- edit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
def test_an_edit_and_what_is_told_of_it(command, photo_file, tmp_path, http):
    result = command(
        "edit",
        photo_file,
        SENTENCE,
        "-o",
        tmp_path / "out.png",
        "--seed",
        7,
        "--precision",
        "fp8",
        "--save-previews",
        "--previews",
        2,
        http=http,
    )
    assert result.exit_code == 0, result.output
    assert "seed 7, 3 steps" in result.stdout and "lane fp8, asked for by name" in result.stdout
    assert sorted(path.name for path in tmp_path.glob("out*")) == [
        "out.png",
        "out.step01.png",
        "out.step02.png",
    ]
    assert images.decode((tmp_path / "out.png").read_bytes()).shape == scene().shape


def test_an_edit_for_a_machine(command, photo_file, tmp_path, client, photo):
    result = command(
        "edit",
        photo_file,
        SENTENCE,
        "-o",
        tmp_path / "out.webp",
        "--seed",
        7,
        "--precision",
        "bf16",
        "--json",
    )
    assert result.exit_code == 0, result.output
    info = EditInfo.from_json(result.stdout)
    answer = client.edit_one(photo, SENTENCE, seed=7, precision="bf16", format="webp")
    assert (info.kind, info.seed, info.operations) == ("final", 7, answer.info.operations)
    assert (tmp_path / "out.webp").read_bytes() == answer.image


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (("--negative", "rain", "--true-cfg", 4), 3, "--negative is not known to this checkpoint"),
        (
            ("--reference", "PHOTO"),
            3,
            "--reference holds 1 images beside the edited one; this checkpoint takes 0",
        ),
        (("--precision", "fp8-sketch"), 3, "fp8-sketch is not loaded"),
        (
            ("--timeout", 0.1, "--steps", 50, "--region", "full", "--precision", "bf16"),
            4,
            "no result within 0.1 s",
        ),
        (("--deadline-ms", 1, "--steps", 50, "--precision", "bf16"), 4, "--deadline-ms 1"),
    ],
)
def test_refusals_have_their_exit_codes(command, photo_file, tmp_path, arguments, code, message):
    arguments = [photo_file if argument == "PHOTO" else argument for argument in arguments]
    result = command("edit", photo_file, SENTENCE, "-o", tmp_path / "out.png", *arguments)
    assert (
        result.exit_code == code
        and message in result.stderr
        and not (tmp_path / "out.png").exists()
    )


# -- batch -----------------------------------------------------------------------------------------


def test_a_batch_with_a_bad_image_and_its_resumption(command, photos, tmp_path, client):
    (photos / "2.png").write_bytes(b"no image at all")
    out = tmp_path / "out"
    result = command(
        "batch", photos, SENTENCE, "-o", out, *TRY, "--precision", "bf16", "--workers", 3
    )
    assert result.exit_code == 1 and "4 done, 1 failed" in result.stdout
    assert "2.png" in result.stdout and "AVIF, TIFF, GIF or BMP" in result.stdout
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert set(kept) == {"0.png", "1.png", "3.png", "4.png"}
    for entry in entries(out):
        if entry["status"] == "done":  # the journal's seed gives the same file again
            image = (photos / entry["out"]).read_bytes()
            again = client.edit_one(image, SENTENCE, seed=entry["seed"], precision="bf16")
            assert (out / entry["out"]).read_bytes() == again.image
    (photos / "2.png").write_bytes(draw(2).image)
    result = command("batch", photos, SENTENCE, "-o", out, *TRY, "--precision", "bf16")
    assert result.exit_code == 0 and "1 done, 4 done before, 0 failed" in result.stdout
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
    result = command("batch", photos, SENTENCE, "-o", out, *TRY, "--precision", "fp8", http=True)
    assert (
        result.exit_code == 1
        and "0 done, 5 failed" in result.stdout
        and "add --force" in result.stdout
    )
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
    result = command(
        "batch", photos, SENTENCE, "-o", out, *TRY, "--precision", "fp8", "--force", http=True
    )
    assert "5 done, 0 failed" in result.stdout, "another option is another edit"


def test_a_list_with_options_of_its_own(command, photos, tmp_path):
    (photos / "mask.png").write_bytes(mask_file(128, 128, (0, 0, 64, 128)))
    with (photos / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["image", "instruction", "seed", "mask", "precision"],
                ["0.png", draw(0).instruction, 3, "mask.png", ""],
                ["1.png", draw(1).instruction, "", "", "fp4"],
                ["1.png", "make the background white", 4, "", ""],
            ]
        )
    result = command(
        "batch",
        "--list",
        photos / "list.csv",
        "-o",
        tmp_path / "out",
        "--precision",
        "fp8",
        "--format",
        "webp",
        *TRY,
    )
    assert result.exit_code == 0, result.output
    by_file = {entry["out"]: entry for entry in entries(tmp_path / "out")}
    assert {out: entry["lane"] for out, entry in by_file.items()} == {
        "0.webp": "fp8",
        "1.webp": "fp4",
        "1-2.webp": "fp8",
    }
    assert (by_file["0.webp"]["seed"], by_file["1-2.webp"]["seed"]) == (3, 4)
    assert all((tmp_path / "out" / out).read_bytes().startswith(b"RIFF") for out in by_file)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_a_batch_that_goes_on(server, command, tmp_path, stop):
    photos = tmp_path / "photos"
    out = tmp_path / "out"
    photos.mkdir()
    for number in range(200):
        (photos / f"{number:03d}.png").write_bytes(draw(number).image)
    options = ("--workers", "1", "--steps", "12", "--region", "full", "--precision", "bf16")
    options += TRY
    batch = subprocess.Popen(
        [
            *INTERRUPTIBLE,
            sys.executable,
            "-m",
            "retouch_clients",
            "batch",
            photos,
            SENTENCE,
            "-o",
            out,
            *options,
            "--url",
            f"{HOST}:{server.grpc}",
        ],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while len(list(out.glob("*.png"))) < 3:
        assert time.monotonic() < deadline and batch.poll() is None, batch.communicate()
        time.sleep(0.02)
    batch.send_signal(stop)
    _, errors = batch.communicate(timeout=30)
    assert (
        batch.returncode == 130
        and "run the same command again to resume" in errors
        and "Traceback" not in errors
    )
    done = [entry["out"] for entry in entries(out)]
    assert 3 <= len(done) < 200 and {entry["status"] for entry in entries(out)} == {"done"}
    assert sorted(done) == sorted(path.name for path in out.glob("*.png")), (
        "results are whole and in the journal"
    )
    for path in list(photos.iterdir()):
        if path.name not in done[:2]:
            path.unlink()
    (photos / "new.png").write_bytes(file_of(scene()))
    result = command("batch", photos, SENTENCE, "-o", out, *options)
    assert result.exit_code == 0 and "1 done, 2 done before, 0 failed" in result.stdout


# -- bench and doctor ------------------------------------------------------------------------------


@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
def test_a_quick_measurement(command, tmp_path, http):
    result = command(
        "bench",
        "--count",
        6,
        "--concurrency",
        "1,3",
        "--precision",
        "bf16",
        "--json",
        tmp_path / "b.json",
        http=http,
    )
    assert result.exit_code == 0 and "edits/s" in result.stdout, result.output
    for row, clients in zip(
        json.loads((tmp_path / "b.json").read_text())["rows"], (1, 3), strict=True
    ):
        assert (row["concurrency"], row["answered"], row["refused"]) == (clients, 6, 0)
        assert 0 < row["first_preview_p50_ms"] < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"]
        assert 0 < row["edits_per_second"] == pytest.approx(6 / row["seconds"], rel=0.01)


def test_a_full_queue_is_counted_as_refused(command, tmp_path):
    result = command(
        "bench",
        "--count",
        60,
        "--concurrency",
        60,
        "--steps",
        12,
        "--region",
        "full",
        "--json",
        tmp_path / "b.json",
    )
    assert result.exit_code == 0, result.output
    (row,) = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert row["answered"] + row["refused"] == 60 and row["refused"] >= 60 - 32 - 8
    assert "Exceeds maximum queue size" in result.stdout


def test_what_no_load_brings_ends_a_measurement(command):
    result = command("bench", "--count", 4, "--precision", "bf16-sketch")
    assert result.exit_code == 3 and "bf16-sketch is not loaded" in result.stderr


def test_the_doctor_sees_the_server(command):
    result = command("doctor")
    assert result.exit_code == 0, result.output
    assert (
        "a server is ready" in result.output and "it has the lanes bf16, fp8, fp4" in result.output
    )
    assert "vl_parser is exported" in result.output
