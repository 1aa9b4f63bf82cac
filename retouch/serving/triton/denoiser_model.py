"""The Triton model of a lane's denoiser."""

from __future__ import annotations

from retouch.api.adapters import parse_adapters
from retouch.api.errors import RequestError
from retouch.api.response import EditInfo
from retouch.artifacts.adapter_folder import adapter_folder
from retouch.engine import cost_model
from retouch.engine.adapter_store import ADAPTER_BYTES
from retouch.engine.admission import Limits
from retouch.engine.denoiser import Denoiser
from retouch.engine.edit import Edit
from retouch.engine.engine import Engine
from retouch.engine.metrics import metric_groups
from retouch.engine.reference_store import ReferenceStore
from retouch.routing.cancel_socket import CancelListener
from retouch.routing.load_board import LoadReporter
from retouch.serving.denoise_params import DESCRIBE, EDIT, PREFILL
from retouch.serving.triton import model_args, stage_args
from retouch.serving.triton.metrics import Metrics
from retouch.serving.triton.sender import Sender


class DenoiserModel:
    """One lane: its engine, its load reporter, its cancel listener and its metrics."""

    def initialize(self, args):
        folder = model_args.folder(args)
        cost = cost_model.load(folder)
        references = ReferenceStore(
            int(model_args.parameter(args, "reference_bytes")),
            int(model_args.optional(args, "reference_host_bytes") or 0),
            model_args.optional(args, "reference_fp8").split(),
            cost,
        )
        denoiser = Denoiser(
            folder,
            stage_args.backend(args),
            references=references,
            adapters=adapter_folder(model_args.repository(args)),
            adapter_bytes=int(model_args.optional(args, "adapter_bytes") or ADAPTER_BYTES),
        )
        stage_args.warmed_up(args, denoiser)
        self.defaults = denoiser.family.defaults()
        limits = Limits(bytes=int(model_args.parameter(args, "running_bytes")))
        self.load_reporter = LoadReporter.of(folder)
        self.engine = Engine(
            denoiser, cost, cost.workers(denoiser.workers), limits, self.load_reporter.publish
        )
        lane = self.load_reporter.lane
        self.cancel_listener = CancelListener(lane, self.engine.cancel)
        self.metrics = Metrics(
            {"lane": lane},
            *metric_groups(
                self.engine.metrics,
                references.counts,
                references.host.counts,
                denoiser.adapters.counts,
            ),
        )

    def execute(self, requests):
        for request in requests:
            Sender(request).dispatch(
                {EDIT: self.edit, PREFILL: self.prefill, DESCRIBE: self.describe}
            )

    def edit(self, sender: Sender) -> None:
        params = sender.params
        edit = Edit(
            params.request_id,
            params.denoise_request(sender.tensors),
            sender.send_progress,
            sender.end,
            deadline=sender.deadline(),
            priority=int(params.priority == 1),
        )
        if not params.request_id:  # nobody else can cancel it; asking Triton once a step is slow
            edit.is_disconnected = sender.is_disconnected
        self.engine.admit(edit)

    def prefill(self, sender: Sender) -> None:
        if "LATENTS" not in sender.tensors:
            raise RequestError("LATENTS is missing; a prefill needs them", field="LATENTS")
        adapters = parse_adapters(sender.params.adapter)
        self.engine.prefill(sender.tensors["LATENTS"], sender.end, adapters)

    def describe(self, sender: Sender) -> None:
        sender.send_info(EditInfo("lane", 0, self.load_reporter.lane, defaults=self.defaults))
        sender.end()

    def finalize(self):
        self.metrics.stop()
        self.load_reporter.remove()
        self.cancel_listener.close()
        self.engine.stop()
