"""The Python client: `Retouch(url).edit(image, "make the red circle blue")` yields previews and the result."""

from __future__ import annotations

import base64
import http.client
import json
import queue
import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from retouch.answer import EditAnswer, EditInfo
from retouch.types import ENSEMBLE_IMAGE, INPUTS, EditRequest, RequestError, request_to_values

DTYPES = {"BYTES": object, "INT32": np.int32, "INT64": np.int64, "FP32": np.float32}


class Retouch:
    """A server at `url` (host:port), over gRPC or, with `http`, over HTTP's generate_stream.

    In a `with` block its gRPC streams stay open between edits, which saves a few milliseconds each.
    """

    def __init__(self, url: str = "127.0.0.1:8001", http: bool = False, model: str = "edit"):
        self.url, self.http, self.model = url, http, model
        self._idle: list[_Stream] = []  # between edits; each carries one edit at a time
        self._keeps = False  # an open stream has threads that would keep the process from ending

    def __enter__(self) -> "Retouch":
        self._keeps = True
        return self

    def __exit__(self, *_: object) -> None:
        self._keeps = False
        while self._idle:
            self._idle.pop().close()

    def edit(self, image: bytes, instruction: str, **knobs: Any) -> Iterator[EditAnswer]:
        """Answers as they come, the final one last; knobs are EditRequest's fields, left-out ones its defaults.

        RequestError says what the server refused. Leaving the iterator early cancels the edit.
        """
        request = EditRequest(image, instruction, **knobs)
        return (self._over_http if self.http else self._over_grpc)(request)

    def _over_grpc(self, request: EditRequest) -> Iterator[EditAnswer]:
        import tritonclient.grpc as grpc

        stream, over = self._idle.pop() if self._idle else _Stream(self.url), False
        try:
            stream.client.async_stream_infer(
                self.model,
                inputs_of(request, grpc),
                request_id=secrets.token_hex(4),
                priority=request.priority,
                timeout=request.deadline_ms * 1000 or None,  # microseconds in Triton's queue
            )
            while not over:
                result, error = stream.answers.get()
                if error is not None:
                    raise RequestError(_words(error.message()), _status(error.status()))
                answer = answer_of(result)
                over = answer.final
                yield answer
        finally:
            if over and self._keeps:
                self._idle.append(stream)
            else:
                stream.close(cancel=not over)

    def _over_http(self, request: EditRequest) -> Iterator[EditAnswer]:
        body = {name: _plain(value) for name, value in request_to_values(_as_text(request)).items()}
        host, _, port = self.url.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port))
        try:
            connection.request("POST", f"/v2/models/{self.model}/generate_stream", json.dumps(body))
            response = connection.getresponse()
            if response.status != 200:
                raise RequestError(_words(json.loads(response.read())["error"]), str(response.status))
            for line in response:
                if line.startswith(b"data:"):
                    yield _answer_of_event(json.loads(line[5:]))
        finally:
            connection.close()


class _Stream:
    """One gRPC stream to a server and the answers that have come from it."""

    def __init__(self, url: str):
        import tritonclient.grpc as grpc

        self.answers: queue.Queue = queue.Queue()
        self.client = grpc.InferenceServerClient(url)
        # without the header triton_grpc_error: with it a cancelled stream crashes tritonserver 2.51
        self.client.start_stream(lambda result, error: self.answers.put((result, error)))

    def close(self, cancel: bool = False) -> None:
        self.client.stop_stream(cancel_requests=cancel)
        self.client.close()


def inputs_of(request: EditRequest, protocol: Any) -> list:
    """The request as InferInput objects of tritonclient.grpc or tritonclient.http."""
    values = request_to_values(request)
    inputs = []
    for tensor in INPUTS:
        value = np.array([[values[tensor.name]]], DTYPES[tensor.datatype])
        infer_input = protocol.InferInput(tensor.name, value.shape, tensor.datatype)
        infer_input.set_data_from_numpy(value)
        inputs.append(infer_input)
    return inputs


def answer_of(result: Any) -> EditAnswer:
    """An InferResult of either protocol as EditAnswer."""
    image = result.as_numpy("IMAGE")
    if image is None:
        image = result.as_numpy(ENSEMBLE_IMAGE)
    step, info = result.as_numpy("STEP")[0], result.as_numpy("INFO")[0]
    return EditAnswer(image[0, 0], tuple(step.tolist()), EditInfo.from_json(info[0]))


def _answer_of_event(event: dict[str, Any]) -> EditAnswer:
    if "error" in event:
        raise RequestError(_words(event["error"]))
    info = event["INFO"] if isinstance(event["INFO"], str) else json.dumps(event["INFO"])
    image = event.get("IMAGE", event.get(ENSEMBLE_IMAGE))
    return EditAnswer(base64.b64decode(image), tuple(event["STEP"]), EditInfo.from_json(info))


def _as_text(request: EditRequest) -> EditRequest:
    """JSON carries no bytes: files go and come as base64 text."""
    region = request.region if request.region in (b"auto", b"full") else base64.b64encode(request.region)
    return replace(
        request, image=base64.b64encode(request.image), region=region, format=f"{request.format};base64"
    )


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _words(message: str) -> str:
    """The sentence without the request id that Triton puts before it."""
    return message.split("] ", 1)[1] if message.startswith("[request id:") and "] " in message else message


def _status(status: Any) -> str:
    return str(status or "UNKNOWN").removeprefix("StatusCode.")
