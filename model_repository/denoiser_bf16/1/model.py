from retouch import triton
from retouch.board import Board
from retouch.denoiser import Denoiser
from retouch.engine import Engine, Running
from retouch.runners import runner_of
from retouch.types import LOOK, TAKE_OUT


class TritonPythonModel:
    def initialize(self, args):
        folder, runner = triton.folder(args), runner_of(triton.parameter(args, "runner"))
        self.denoiser, self.board = Denoiser(folder, runner), Board.of(folder)
        self.engine = Engine(self.board.post)

    def execute(self, requests):
        for sender in map(triton.Sender, requests):
            ticket, steps = sender.inputs["TICKET"][0].decode(), sender.inputs["STEPS"][0]
            if steps == TAKE_OUT:
                self.engine.cancel(ticket)
                self.denoiser.forget(ticket)
                sender.end()
            else:
                # whoever has a ticket minds the edit; to ask Triton once a step takes a while
                left = (lambda: False) if ticket else sender.left
                work, todo = (self.look, 0) if steps == LOOK else (self.edit, int(steps) or self.board.default_steps)
                self.engine.admit(Running(ticket, work(sender.inputs, ticket), sender.send, sender.end, left, todo))

    def look(self, inputs, ticket):
        yield self.denoiser.look(ticket, inputs["LATENTS"])

    def edit(self, inputs, ticket):
        tensors = (inputs[name] for name in ("LATENTS", "CONDITIONING", "CELLS"))
        numbers = (inputs[name][0].item() for name in ("SEED", "STEPS", "GUIDANCE", "PREVIEWS"))
        for step in self.denoiser.run(*tensors, *numbers, inputs["BOXES"], ticket):
            answer = step.tensors()
            yield answer and answer | {name: inputs[name] for name in ("SOURCE", "CELLS", "INFO")}

    def finalize(self):
        self.board.remove()
        self.engine.stop()
