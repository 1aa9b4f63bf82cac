"""Triton's side of the house: tensors, errors, calls between models, senders. Only this file knows pb_utils."""

from __future__ import annotations

import faulthandler
import json
import math
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from retouch import drain, types
from retouch.answer import EditInfo
from retouch.denoising import Progress
from retouch.lanes import adapted
from retouch.order import Order
from retouch.settling import Settling
from retouch.types import Cancelled, RequestError
from retouch.wanted import Arrays, Wanted
from retouch.wire import outputs_of, request_of, tensors_of

faulthandler.enable()  # when native code ends a stub, the server's log has the Python stacks
_settling = Settling()

METRICS_EVERY = 0.5  # seconds
LATENCY_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0]  # seconds
STATUS = " | "  # between an error's status and its sentence, from a denoiser to a door
FAILED = "the edit failed inside the server; its log says why"

# -- a model's own folder -----------------------------------------------------------------------------------------


def folder(args: dict[str, str]) -> Path:
    """The version folder, where a stage's artifacts lie."""
    return Path(args["model_repository"]) / args["model_version"]


def parameter(args: dict[str, str], name: str) -> str:
    """A parameter of config.pbtxt."""
    return json.loads(args["model_config"])["parameters"][name]["string_value"]


def lanes(args: dict[str, str]) -> Callable[[], tuple[str, ...]]:
    """What tells which lanes are loaded now: of those that config.pbtxt names, and of those that the repository has with
    an adapter in one of these precisions; some 0.1 ms, not in `initialize`."""
    plain = parameter(args, "lanes").split(",")
    return lambda: _ready([*plain, *(lane for lane in adapted(repository(args)) if types.precision_of(lane) in plain)])


def wired(args: dict[str, str]) -> Callable[[], tuple[str, ...]]:
    """The same before an ensemble, which can serve by no lanes but those that config.pbtxt names."""
    return lambda: _ready(parameter(args, "lanes").split(","))


def _ready(named: list[str]) -> tuple[str, ...]:
    return tuple(lane for lane in named if pb_utils.is_model_ready(f"denoiser_{lane}"))


def repository(args: dict[str, str]) -> Path:
    """The folder of all models."""
    return Path(args["model_repository"]).parent


# -- stages that answer each request once ---------------------------------------------------------------------------


def per_row(requests: list, function: Callable[[dict[str, Any]], Arrays]) -> list:
    """Answer every request of a batch by `function(one row's inputs)`, which gives that row's outputs.

    Triton gathers the batch, but the rows run one by one: on a CPU more rows to a multiplication save nothing and
    change the last bits, and an edit must not depend on its neighbours.
    """

    def answer(request: Any) -> Arrays:
        inputs = _inputs(request)
        size = len(next(iter(inputs.values())))
        rows = [function({name: value[i] for name, value in inputs.items()}) for i in range(size)]
        if any(a.shape != b.shape for row in rows for a, b in zip(row.values(), rows[0].values())):
            raise RequestError("the rows of one request must lead to one resolution; send them one by one")
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    return [_guarded(answer, request) for request in requests]


# -- doors ------------------------------------------------------------------------------------------------------------


def stream_edits(requests: list, edit: Callable) -> None:
    """`edit(request, cancelled)` for every request, each answer sent as it comes."""
    for request in requests:
        sender = request.get_response_sender()
        try:
            with drain.running_edit():
                for answer in edit(request_of(_first_row(request)), _settling.asking(sender.is_cancelled)):
                    sender.send(_response(tensors_of(answer)))
                sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        except Exception as failure:
            sender.send(_failed(failure), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def last_answers(requests: list, edit: Callable) -> list:
    """`edit(request, cancelled)` for every request, the final answer only."""

    def last(request: Any) -> Arrays:
        wanted = request_of(_first_row(request))
        wanted.previews = 0  # nobody would see them
        with drain.running_edit():
            *_, answer = edit(wanted, _settling.asking(request.is_cancelled))
        return tensors_of(answer)

    return [_guarded(last, request) for request in requests]


# -- the denoiser's senders -------------------------------------------------------------------------------------------


class Sender:
    """Answers of one decoupled request, for a thread that outlives `execute`."""

    def __init__(self, request: Any):
        self._sender = request.get_response_sender()
        self._wanted = set(request.requested_output_names())
        self.inputs = _first_row(request)
        self.order = Order()
        self.left, self._reused = self._sender.is_cancelled, 0

    def send(self, outputs: Arrays) -> None:
        """One answer of arrays without a batch dimension, of which only what was asked for is sent."""
        wanted = {name: value[None] for name, value in outputs.items() if name in self._wanted}
        self._sender.send(_response(wanted))

    def progress(self, progress: Progress) -> None:
        """A denoiser's step, where there is something to say, with the inputs that an ensemble's last step needs
        again."""
        self._reused += progress.reused
        outputs = progress.tensors()
        if outputs is not None:
            info = EditInfo.from_json(self.inputs["INFO"][0])
            info.steps_reused = self._reused
            again = {name: self.inputs[name] for name in ("SOURCE", "CELLS")}
            self.send(outputs | again | {"INFO": np.array([info.to_json().encode()], object)})

    def begin(self, acts: dict[str, Callable[[Sender], None]]) -> None:
        """Do what its order says; end with what that raises."""
        try:
            self.order = Order.from_json(self.inputs["ORDER"][0])
            acts[self.order.act](self)
        except Exception as failure:
            self.end(failure)

    def deadline(self) -> float:
        """On the clock of `time.monotonic`; infinite where there is none."""
        left = self.order.deadline_ms
        return time.monotonic() + left / 1000 if left else math.inf

    def wanted(self) -> Wanted:
        """What a denoiser is asked for."""
        names = ("seed", "steps", "guidance", "previews", "step_cache", "true_cfg")
        told, numbers = self.inputs, {name: getattr(self.order, name) for name in names}
        said = {"conditioning": told["CONDITIONING"], "pooled": told["POOLED"], "boxes": told["BOXES"]}
        against = {"conditioning": told["AGAINST"], "pooled": told["AGAINST_POOLED"]} if told["AGAINST"].size else None
        return Wanted(told["LATENTS"], said, told["CELLS"], more=self.order.unpacked(told["MORE"]), negative=against, **numbers)

    def end(self, failure: Exception | None = None) -> None:
        """The door that has a ticket reads the status before the sentence: an error's code does not survive a call between
        models that stream."""
        final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        if self.order.ticket and isinstance(failure, RequestError):
            failure = RequestError(f"{failure.status}{STATUS}{failure}", failure.status)
        self._sender.send(*([] if failure is None else [_failed(failure)]), flags=final)


# -- metrics ----------------------------------------------------------------------------------------------------------


class Metrics:
    """Numbers on Triton's metrics page, brought up to date by a thread of their own: to tell Triton one takes as long
    as a call, and a loop has no time for it."""

    def __init__(self, labels: dict[str, str], *groups: tuple[str, dict[str, tuple[str, str]], Any]):
        """A group is the beginning of its metrics' names, a table of attributes with their kind (counter or gauge) and
        words, and the object that has them."""
        kinds = {"counter": pb_utils.MetricFamily.COUNTER, "gauge": pb_utils.MetricFamily.GAUGE,
                 "histogram": pb_utils.MetricFamily.HISTOGRAM}
        self._families, self._metrics, self._told = [], [], {}
        for prefix, table, numbers in groups:
            for name, (kind, words) in table.items():
                full = f"{prefix}_{name}" + "_total" * (kind == "counter")
                family = pb_utils.MetricFamily(name=full, description=words, kind=kinds[kind])
                self._families.append(family)  # one that is collected takes its metrics with it
                buckets = {"buckets": LATENCY_BUCKETS} if kind == "histogram" else {}
                self._metrics.append((family.Metric(labels=labels, **buckets), kind, numbers, name))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._publish, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _publish(self) -> None:
        while not self._over.wait(METRICS_EVERY):
            for metric, kind, numbers, name in self._metrics:
                if kind == "histogram":
                    _observe(metric, getattr(numbers, name))
                    continue
                value, before = getattr(numbers, name), self._told.get(metric, 0)
                if value != before:
                    metric.set(value) if kind == "gauge" else metric.increment(value - before)
                    self._told[metric] = value


def _observe(metric: Any, observations: Any) -> None:
    """Publish and drop what has been observed; other threads may append meanwhile."""
    while observations:
        metric.observe(observations.popleft())


# -- calls between models ---------------------------------------------------------------------------------------------


def call(model: str, inputs: Arrays) -> Arrays:
    """One answer of another model; RequestError when it fails."""
    return _outputs(_request(model, inputs).exec(), model)


def stream(model: str, inputs: Arrays) -> Iterator[Arrays]:
    """The answers of a decoupled model. Whoever leaves early waits for its end."""
    for response in _settling.stream(lambda: iter(_request(model, inputs).exec(decoupled=True))):
        if response.has_error() or response.output_tensors():
            yield _outputs(response, model)


def _request(model: str, inputs: Arrays) -> Any:
    return pb_utils.InferenceRequest(
        model_name=model,
        requested_output_names=outputs_of(model),
        inputs=[pb_utils.Tensor(name, value) for name, value in inputs.items()],
    )


def _outputs(response: Any, model: str) -> Arrays:
    if response.has_error():
        failure = response.error()
        status, told, words = failure.message().partition(STATUS)
        if told:
            raise RequestError(words, status)
        if failure.code() == pb_utils.TritonError.UNAVAILABLE:  # a full queue: its own words say so
            raise RequestError(failure.message(), "UNAVAILABLE")
        pb_utils.Logger.log_error(f"{model}: {failure.message()}")
        raise RequestError(FAILED, "INTERNAL")
    return {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}


# -- tensors and errors -----------------------------------------------------------------------------------------------


def _inputs(request: Any) -> Arrays:
    return {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}


def _first_row(request: Any) -> dict[str, Any]:
    return {name: value[0] for name, value in _inputs(request).items()}


def _response(outputs: Arrays) -> Any:
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, np.asarray(value)) for name, value in outputs.items()])


def _guarded(function: Callable[[Any], Arrays], request: Any) -> Any:
    try:
        return _response(function(request))
    except Exception as failure:
        return _failed(failure)


def _failed(failure: Exception) -> Any:
    """An error answer: our own words for what the sender can mend; the log gets the rest."""
    codes = {
        "INVALID_ARGUMENT": pb_utils.TritonError.INVALID_ARG,
        "DEADLINE_EXCEEDED": pb_utils.TritonError.UNAVAILABLE,
        "UNAVAILABLE": pb_utils.TritonError.UNAVAILABLE,
    }
    if isinstance(failure, Cancelled):
        error = pb_utils.TritonError("the client has left", pb_utils.TritonError.CANCELLED)
    elif isinstance(failure, RequestError):
        error = pb_utils.TritonError(str(failure), codes.get(failure.status, pb_utils.TritonError.INTERNAL))
    else:
        pb_utils.Logger.log_error("".join(traceback.format_exception(failure)))
        error = pb_utils.TritonError(FAILED, pb_utils.TritonError.INTERNAL)
    return pb_utils.InferenceResponse(error=error)
