"""Conversion between EditRequest or EditAnswer and the messages of gRPC and HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from retouch.api.fields import FIELDS
from retouch.api.lanes import LANES
from retouch.api.limits import REGIONS
from retouch.api.request import EditRequest, as_base64, request_to_values
from retouch.api.response import ENSEMBLE_IMAGE, EditAnswer, EditInfo
from retouch.api.triton_errors import read_error

DTYPES = {"BYTES": object, "INT32": np.int32, "INT64": np.int64, "FP32": np.float32}
LANE = "denoiser_"  # prefix of the model names of lanes
DESCRIBE = json.dumps({"action": "describe"})  # PARAMS of a denoiser that asks for its defaults
DESCRIBE_BODY = json.dumps({"PARAMS": DESCRIBE})  # the same over HTTP


def inputs_of(
    request: EditRequest,
    protocol: Any,
    place: Callable[[Any, Any], bool] = lambda tensor, value: False,
) -> list:
    """The request as InferInput objects of `protocol`: tritonclient.grpc or tritonclient.http.

    `place` returns whether it has put a value elsewhere (into shared memory); the message then
    leaves that value out."""
    values = request_to_values(request)
    inputs = []
    for tensor in FIELDS:
        value = np.array([[values[tensor.name]]], DTYPES[tensor.datatype])
        infer_input = protocol.InferInput(tensor.name, value.shape, tensor.datatype)
        if not place(infer_input, values[tensor.name]):
            infer_input.set_data_from_numpy(value)
        inputs.append(infer_input)
    return inputs


def answer_of(result: Any) -> EditAnswer:
    """EditAnswer of an InferResult of either protocol."""
    image = result.as_numpy("IMAGE")
    if image is None:
        image = result.as_numpy(ENSEMBLE_IMAGE)
    step = result.as_numpy("STEP")[0]
    info = result.as_numpy("INFO")[0]
    return EditAnswer(image[0, 0], tuple(step.tolist()), EditInfo.from_json(info[0]))


def body_of(request: EditRequest) -> str:
    """The request as JSON for generate_stream. JSON has no bytes: images are base64 text both
    ways."""
    values = request_to_values(replace(request, format=f"{request.format};base64"))
    for field in FIELDS:
        value = values[field.name]
        if field.type is bytes and value.decode("latin-1") not in REGIONS:
            values[field.name] = as_base64(value)
    return json.dumps(
        {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in values.items()
        }
    )


def answer_of_line(line: bytes) -> EditAnswer | None:
    """EditAnswer of one line of generate_stream; None for a line without data, RequestError for an
    error event."""
    event = _event_of(line)
    if event is None:
        return None
    image = event.get("IMAGE", event.get(ENSEMBLE_IMAGE))
    return EditAnswer(base64.b64decode(image), tuple(event["STEP"]), _info_of(event))


def defaults_of(info: str | bytes) -> dict[str, Any]:
    """The lane's defaults in INFO, by the names of the request's fields."""
    return EditInfo.from_json(info).defaults


def defaults_of_line(line: bytes) -> dict[str, Any] | None:
    """The same of a line of generate_stream; None for a line without data, RequestError for an
    error event."""
    event = _event_of(line)
    return None if event is None else _info_of(event).defaults


def _event_of(line: bytes) -> Any:
    """The event, a dict, of a line of generate_stream; None for a line without data. RequestError
    for an error event."""
    if not line.startswith(b"data:"):
        return None
    event = json.loads(line[5:])
    if "error" in event:
        raise read_error(event["error"])
    return event


def _info_of(event: dict[str, Any]) -> EditInfo:
    info = event["INFO"]
    return EditInfo.from_json(info if isinstance(info, str) else json.dumps(info))


def error_text(body: bytes) -> str:
    """The error in the body of an HTTP response; empty when there is none.

    The body may be an event of a stream that failed at once."""
    try:
        return json.loads(body.removeprefix(b"data:"))["error"]
    except (ValueError, KeyError, TypeError):
        return ""


def lanes_of(models: Iterable[str]) -> tuple[str, ...]:
    """Lanes among the names of loaded models: the widest first, those with an adapter last."""
    names = {name.removeprefix(LANE) for name in models if name.startswith(LANE)}
    return (*(lane for lane in LANES if lane in names), *sorted(names - set(LANES)))


def model_names(statistics: dict[str, Any]) -> list[str]:
    """Names of the loaded models, from the statistics that HTTP returns as JSON."""
    return [entry["name"] for entry in statistics["model_stats"]]
