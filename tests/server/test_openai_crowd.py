"""Ten clients that stream through the OpenAI-compatible server at once; `benchmarks.concurrency`
has fifty."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from benchmarks.concurrency import gather, members
from benchmarks.openai_server import openai_server


def test_each_client_gets_its_own_results(server, client):
    crowd = members(client, 10)
    assert len({image for member in crowd for image in member.expected.values()}) >= 10
    with openai_server(f"127.0.0.1:{server.grpc}") as url:
        seen = asyncio.run(gather(url, crowd, seconds=4))
        mixed = [
            replace(crowd[0], expected=dict(zip(crowd[0].expected, crowd[1].expected.values()))),
            crowd[1],
        ]
        noticed = asyncio.run(gather(url, mixed, seconds=0.5))
    assert seen.faults == [] and seen.whole and len(seen.answered) == 10
    assert {*noticed.answered} == {1}
    assert all("client 0" in fault and "another one" in fault for fault in noticed.faults)
    assert not noticed.whole, "an answer that is another's would be seen"
