"""The Triton models of the endpoints: a stream of answers, or the result alone."""

from __future__ import annotations

from functools import partial
from typing import Any

import triton_python_backend_utils as pb_utils

from retouch.api.tensors import request_of, tensors_of
from retouch.families.denoise_request import Arrays
from retouch.serving import drain, repository
from retouch.serving.edit_pipeline import EditPipeline
from retouch.serving.triton import calls, model_args
from retouch.serving.triton.responses import failed, guarded, response_of
from retouch.serving.triton.stages import first_row
from retouch.serving.triton.stream_workaround import STREAMS
from retouch.util.request_log import request_id


class EndpointModel:
    """One edit an instance, from request to last answer. Triton's queue holds the others."""

    def initialize(self, args):
        models = model_args.repository(args)
        self.pipeline = EditPipeline(
            calls.call,
            calls.stream,
            model_args.lanes(args),
            partial(repository.lane_family, models),
            repository.versions(models),
            score_share=model_args.share(args, "score_share"),
        )


class StreamingEndpoint(EndpointModel):
    """Sends previews as they come, then the result."""

    def execute(self, requests):
        for request in requests:
            with request_id(request.request_id()):
                self._answer(request)

    def _answer(self, request: Any) -> None:
        sender = request.get_response_sender()
        final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        try:
            with drain.running_edit():
                self._send_answers(request, sender)
                sender.send(flags=final)
        except Exception as failure:
            sender.send(failed(failure), flags=final)

    def _send_answers(self, request: Any, sender: Any) -> None:
        is_disconnected = STREAMS.asking(sender.is_cancelled)
        for answer in self.pipeline.edit(request_of(first_row(request)), is_disconnected):
            sender.send(response_of(tensors_of(answer)))


class UnaryEndpoint(EndpointModel):
    """Answers every request with its result."""

    def execute(self, requests):
        return [guarded(self._result, request) for request in requests]

    def _result(self, request: Any) -> Arrays:
        edit_request = request_of(first_row(request))
        edit_request.previews = 0  # they would have no reader
        with drain.running_edit():
            is_disconnected = STREAMS.asking(request.is_cancelled)
            *_, answer = self.pipeline.edit(edit_request, is_disconnected)
        return tensors_of(answer)
