"""The closed loop of `retouch bench`: its images, its figures, what counts as refused."""

from __future__ import annotations

import asyncio
import hashlib
import json

import pytest
from click.testing import CliRunner

from retouch.api.errors import RequestError
from retouch.api.response import EditAnswer, EditInfo
from retouch.imaging import images
from retouch_clients.bench.closed_loop import Measured, draw, measure
from retouch_clients.command import retouch


def answer(kind):
    return EditAnswer(b"", (1, 1), EditInfo(kind, 1, "bf16"))


class Client:
    def __init__(self, acts):
        self.acts = iter(acts)
        self.at_once = 0
        self.most = 0
        self.images = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def edit_one(self, image, instruction, **fields):
        return [item async for item in self.edit(image, instruction, **fields)][-1]

    async def edit(self, image, instruction, **fields):
        self.images.append(image)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        act = next(self.acts)
        try:
            for item in act:
                await asyncio.sleep(0.005)
                if isinstance(item, Exception):
                    raise item
                yield answer(item)
        finally:
            self.at_once -= 1


def test_every_image_is_another_and_always_the_same():
    drawn = [draw(number) for number in range(200)]
    assert len({hashlib.sha256(item.image).digest() for item in drawn}) == 200
    assert drawn[17] == draw(17) and images.decode(drawn[17].image).shape == (128, 128, 3)
    one = drawn[17].instruction.split()[2]
    third = drawn[17].instruction.split()[-1]
    assert one != third and drawn[17].instruction == f"make the {one} circle {third}"


def test_what_is_measured():
    late = RequestError("DEADLINE_MS 60 cannot be met: bf16 needs 70 ms", "DEADLINE_EXCEEDED")
    later = RequestError("DEADLINE_MS 60 cannot be met: bf16 needs 90 ms", "DEADLINE_EXCEEDED")
    client = Client(
        [["preview", "preview", "final"], ["final"], [late], [later], ["preview", "final"]]
    )
    measured = asyncio.run(measure(client, [draw(item) for item in range(5)], 2, {}))
    assert (len(measured.total), len(measured.first_preview), client.most) == (3, 2, 2)
    assert measured.refused == {"DEADLINE_MS 60 cannot be met": 2}
    assert max(measured.first_preview) < max(measured.total) <= measured.seconds
    assert measured.throughput == 3 / measured.seconds


def test_what_no_load_brings_ends_it():
    with pytest.raises(RequestError, match="PRECISION"):
        asyncio.run(
            measure(
                Client([["final"], [RequestError("PRECISION fp9 is unknown")]]),
                [draw(0), draw(1)],
                1,
                {},
            )
        )


def test_figures_are_milliseconds():
    figures = Measured(4, 2.0, [0.1, 0.2, 0.3, 0.4], [0.05]).figures()
    assert (figures["p50_ms"], figures["edits_per_second"], figures["first_preview_p50_ms"]) == (
        250.0,
        2.0,
        50.0,
    )
    assert figures["p90_ms"] <= figures["p99_ms"] <= 400.0
    assert Measured(4).figures()["p50_ms"] is None


def test_the_command_prints_a_row_for_each_number_of_clients(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "retouch_clients.commands.bench.AsyncRetouch",
        lambda *_, **__: Client([["preview", "final"]] * 20),
    )
    arguments = [
        "bench",
        "--count",
        "4",
        "--concurrency",
        "1,2",
        "--json",
        str(tmp_path / "b.json"),
    ]
    result = CliRunner().invoke(retouch, arguments)
    assert result.exit_code == 0 and "edits/s" in result.stdout
    rows = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert [(row["concurrency"], row["answered"], row["refused"]) for row in rows] == [
        (1, 4, 0),
        (2, 4, 0),
    ]


def test_every_run_has_images_that_no_other_had(monkeypatch):
    """A server that remembers those of the run before would answer sooner."""
    clients = []

    def client(*_, **__):
        clients.append(Client([["final"]] * 20))
        return clients[-1]

    monkeypatch.setattr("retouch_clients.commands.bench.AsyncRetouch", client)
    for _ in range(2):
        assert (
            CliRunner().invoke(retouch, ["bench", "--count", "4", "--concurrency", "1,2"]).exit_code
            == 0
        )
    images = [image for client in clients for image in client.images]
    assert len(images) == 2 * (3 + 2 * 4) == len(set(images))


def test_the_command_fails_where_all_were_refused(monkeypatch):
    full = RequestError("Exceeds maximum queue size", "UNAVAILABLE")
    monkeypatch.setattr(
        "retouch_clients.commands.bench.AsyncRetouch",
        lambda *_, **__: Client([["final"], [full], [full]]),
    )
    result = CliRunner().invoke(
        retouch, ["bench", "--count", "2", "--concurrency", "1", "--warm-up", "1"]
    )
    assert result.exit_code == 4 and "2 × Exceeds maximum queue size" in result.stdout
    assert "every edit was rejected" in result.stderr
