"""A gRPC server with Triton's service: it streams what a test says, and then ends the edit or
leaves it open."""

from __future__ import annotations

import concurrent.futures
import contextlib
import struct
import threading
from collections.abc import Iterator

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from retouch.api.response import EditInfo

IMAGE = b"an edited file"


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """One preview for each request, and the result too where it `ends`."""

    def __init__(self, ends: bool):
        self.ends = ends
        self.stopped = threading.Event()
        self.asked = threading.Event()

    def ModelStreamInfer(self, request_iterator, context):
        for _ in request_iterator:
            yield response("preview", 1)
            self.asked.set()
            if not self.ends:
                context.add_callback(self.stopped.set)
                self.stopped.wait(60)
                return
            yield response("final", 2)


def response(kind: str, step: int) -> service_pb2.ModelStreamInferResponse:
    info = EditInfo(kind, 5, "bf16", "asked for by name", 2).to_json().encode()
    content = {
        "IMAGE": ("BYTES", (1, 1), _text(IMAGE)),
        "STEP": ("INT32", (1, 2), struct.pack("<2i", step, 2)),
        "INFO": ("BYTES", (1, 1), _text(info)),
    }
    answer = service_pb2.ModelInferResponse(model_name="edit")
    for name, (datatype, shape, data) in content.items():
        answer.outputs.add(name=name, datatype=datatype, shape=shape)
        answer.raw_output_contents.append(data)
    return service_pb2.ModelStreamInferResponse(infer_response=answer)


@contextlib.contextmanager
def fake_triton(ends: bool) -> Iterator[tuple[str, FakeTriton]]:
    """The address of one, and itself."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    triton = FakeTriton(ends)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield url, triton
    finally:
        triton.stopped.set()
        server.stop(0).wait(10)


def _text(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data
