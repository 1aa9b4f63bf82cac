from retouch import cost, triton
from retouch.admission import Limits
from retouch.board import Board
from retouch.denoiser import Denoiser
from retouch.engine import Edit, Engine
from retouch.mailbox import Mailbox
from retouch.order import EDIT, LOOK
from retouch.runners import runner_of
from retouch.tally import groups


class TritonPythonModel:
    def initialize(self, args):
        folder, runner = triton.folder(args), runner_of(triton.parameter(args, "runner"))
        denoiser = Denoiser(folder, runner, int(triton.parameter(args, "reference_bytes")))
        self.board, costs = Board.of(folder), cost.load(folder)
        limits = Limits(bytes=int(triton.parameter(args, "running_bytes")))
        self.engine = Engine(denoiser, costs, costs.workers(denoiser.workers), limits, self.board.post)
        self.mailbox = Mailbox(self.board.lane, self.engine.cancel)
        self.metrics = triton.Metrics({"lane": self.board.lane}, *groups(self.engine.tally, denoiser.references.counts))

    def execute(self, requests):
        for sender in map(triton.Sender, requests):
            sender.begin({EDIT: self.edit, LOOK: self.look})

    def edit(self, sender):
        ticket, high = sender.order.ticket, sender.order.priority == 1
        # whoever has a ticket minds the edit; to ask Triton once a step takes a while
        left = (lambda: False) if ticket else sender.left
        self.engine.admit(
            Edit(ticket, sender.wanted(), sender.progress, sender.end, left, sender.deadline(), int(high)))

    def look(self, sender):
        self.engine.look(sender.inputs["LATENTS"], sender.end)

    def finalize(self):
        self.metrics.stop()
        self.board.remove()
        self.mailbox.remove()
        self.engine.stop()
