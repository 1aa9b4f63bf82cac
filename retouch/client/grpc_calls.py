"""Arguments and errors of gRPC calls that both kinds of client use."""

from __future__ import annotations

from typing import Any

import grpc as grpc_core
import numpy as np
import tritonclient.grpc as grpc

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.api.triton_errors import is_unreachable, read_error
from retouch.client.codec import DESCRIBE, LANE, inputs_of
from retouch.client.errors import unreachable
from retouch.client.shared_memory import Region, Regions
from retouch.util.request_log import REQUEST_ID, new_request_id


def infer_arguments(
    model: str, request: EditRequest, region: Region | None = None
) -> dict[str, Any]:
    """Keyword arguments of the call that sends an edit; images go into `region`, if there is
    one."""
    inputs = inputs_of(request, grpc, region.place) if region else inputs_of(request, grpc)
    return {
        "model_name": model,
        "inputs": inputs,
        "request_id": REQUEST_ID.get() or new_request_id(),
        "priority": request.priority,
        "timeout": request.deadline_ms * 1000 or None,  # microseconds in Triton's queue
    }


def describe_arguments(lane: str) -> dict[str, Any]:
    """Keyword arguments of the call that asks a lane for its defaults."""
    params = grpc.InferInput("PARAMS", (1, 1), "BYTES")
    params.set_data_from_numpy(np.array([[DESCRIBE.encode()]], object))
    outputs = [grpc.InferRequestedOutput("INFO")]
    return {"model_name": f"{LANE}{lane}", "inputs": [params], "outputs": outputs}


def region_arguments(region: Region, regions: Regions) -> dict[str, Any]:
    """Keyword arguments of the call that registers a region with a server."""
    return {
        "name": region.name,
        "key": region.key,
        "byte_size": region.size,
        "headers": regions.headers,
    }


def model_names(statistics: Any) -> list[str]:
    """Names of the loaded models. Statistics are open to all; the repository index needs the
    server's secret."""
    return [entry.name for entry in statistics.model_stats]


def call_failure(
    error: grpc.InferenceServerException, url: str, region: Region | None = None
) -> RequestError:
    """The RequestError of a call that tritonclient has ended with `error`."""
    shared = region.failure(error.message(), url) if region else None
    return shared or _failure(str(error.status() or ""), error.message(), url)


def rpc_failure(error: grpc_core.RpcError, url: str) -> RequestError:
    """The RequestError of a call that gRPC itself has ended with `error`."""
    return _failure(error.code().name, error.details() or "", url)


def _failure(status: str, message: str, url: str) -> RequestError:
    return unreachable(url) if is_unreachable(message, status) else read_error(message, status)
