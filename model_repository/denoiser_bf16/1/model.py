from retouch import cost, triton
from retouch.board import Board
from retouch.denoiser import Denoiser
from retouch.denoising import Wanted
from retouch.engine import Edit, Engine
from retouch.runners import runner_of
from retouch.tally import groups
from retouch.types import LOOK, TAKE_OUT


class TritonPythonModel:
    def initialize(self, args):
        folder, runner = triton.folder(args), runner_of(triton.parameter(args, "runner"))
        denoiser, self.board = Denoiser(folder, runner), Board.of(folder)
        costs = cost.load(folder)
        self.engine = Engine(denoiser, costs, costs.workers(denoiser.workers), post=self.board.post)
        self.metrics = triton.Metrics({"lane": self.board.lane}, *groups(self.engine.tally, denoiser.references.counts))

    def execute(self, requests):
        for sender in map(triton.Sender, requests):
            ticket, steps = sender.inputs["TICKET"][0].decode(), sender.inputs["STEPS"][0]
            if steps == TAKE_OUT:
                self.engine.cancel(ticket)
                sender.end()
            elif steps == LOOK:
                self.engine.look(sender.inputs["LATENTS"], sender.end)
            else:
                sender.guard(lambda: self.engine.admit(self.edit(sender, ticket)))

    def edit(self, sender, ticket):
        said = {name.lower(): sender.inputs[name] for name in ("CONDITIONING", "BOXES")}
        numbers = (sender.inputs[name][0].item() for name in ("SEED", "STEPS", "GUIDANCE", "PREVIEWS"))
        wanted = Wanted(sender.inputs["LATENTS"], said, sender.inputs["CELLS"], *numbers)
        # whoever has a ticket minds the edit; to ask Triton once a step takes a while
        left = (lambda: False) if ticket else sender.left
        return Edit(ticket, wanted, sender.progress, sender.end, left, sender.deadline())

    def finalize(self):
        self.metrics.stop()
        self.board.remove()
        self.engine.stop()
