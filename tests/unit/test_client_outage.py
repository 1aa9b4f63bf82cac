"""A kept connection comes back within a second after an outage, however long that was."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from retouch.client import AsyncRetouch
from retouch.launcher.server import free_port

OUTAGE = 6.0  # seconds; gRPC's own pauses would go on until about 9.3
BOUND = 1.0
MARGIN = 1.0  # seconds of a busy machine


class Ready(service_pb2_grpc.GRPCInferenceServiceServicer):
    def ModelReady(self, request, context):
        return service_pb2.ModelReadyResponse(ready=True)


def serving(port: int) -> grpc.Server:
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Ready(), server)
    assert server.add_insecure_port(f"127.0.0.1:{port}") == port
    server.start()
    return server


def test_a_client_is_back_soon_after_an_outage():
    port = free_port()

    async def through_an_outage() -> float:
        async with AsyncRetouch(f"127.0.0.1:{port}") as client:
            first = serving(port)
            assert await client.ready()
            first.stop(0).wait()
            until = time.monotonic() + OUTAGE
            while time.monotonic() < until:
                assert not await client.ready()
                await asyncio.sleep(0.2)
            second = serving(port)
            back = time.monotonic()
            try:
                while not await client.ready() and time.monotonic() < back + 30:
                    await asyncio.sleep(0.05)
                return time.monotonic() - back
            finally:
                second.stop(0).wait()

    assert asyncio.run(through_an_outage()) < BOUND + MARGIN
