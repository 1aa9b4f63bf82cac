"""The Triton model of a lane's denoiser."""

from __future__ import annotations

from retouch.backends.base import backend_of
from retouch.engine import cost_model
from retouch.engine.admission import Limits
from retouch.engine.denoiser import Denoiser
from retouch.engine.engine import Edit, Engine
from retouch.engine.metrics import groups
from retouch.routing.cancel_socket import CancelListener
from retouch.routing.load_board import LoadBoard
from retouch.serving.denoise_params import EDIT, PREFILL
from retouch.serving.triton import model_args
from retouch.serving.triton.logging import log_to_triton
from retouch.serving.triton.metrics import Metrics
from retouch.serving.triton.sender import Sender


class DenoiserModel:
    """One lane: its engine, its load board, its cancel socket and its metrics."""

    def initialize(self, args):
        log_to_triton()
        folder = model_args.folder(args)
        runner = backend_of(model_args.parameter(args, "runner"))
        denoiser = Denoiser(folder, runner, int(model_args.parameter(args, "reference_bytes")))
        self.board = LoadBoard.of(folder)
        costs = cost_model.load(folder)
        limits = Limits(bytes=int(model_args.parameter(args, "running_bytes")))
        self.engine = Engine(
            denoiser, costs, costs.workers(denoiser.workers), limits, self.board.post
        )
        self.mailbox = CancelListener(self.board.lane, self.engine.cancel)
        self.metrics = Metrics(
            {"lane": self.board.lane}, *groups(self.engine.tally, denoiser.references.counts)
        )

    def execute(self, requests):
        for sender in map(Sender, requests):
            sender.begin({EDIT: self.edit, PREFILL: self.look})

    def edit(self, sender):
        ticket = sender.order.ticket
        high = sender.order.priority == 1
        # whoever has a ticket minds the edit; to ask Triton once a step takes a while
        left = (lambda: False) if ticket else sender.left
        self.engine.admit(
            Edit(
                ticket,
                sender.wanted(),
                sender.progress,
                sender.end,
                left,
                sender.deadline(),
                int(high),
            )
        )

    def look(self, sender):
        self.engine.look(sender.inputs["LATENTS"], sender.end)

    def finalize(self):
        self.metrics.stop()
        self.board.remove()
        self.mailbox.remove()
        self.engine.stop()
