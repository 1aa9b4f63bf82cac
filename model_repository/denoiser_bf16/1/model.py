import numpy as np

from retouch import triton
from retouch.denoiser import Denoiser
from retouch.engine import Engine, Running

NO_LATENTS, NO_PREVIEW = np.zeros((0, 0, 0), np.float32), np.zeros((0, 0, 3), np.uint8)


class TritonPythonModel:
    def initialize(self, args):
        self.denoiser, self.engine = Denoiser(triton.folder(args)), Engine()

    def execute(self, requests):
        for sender in map(triton.Sender, requests):
            ticket, steps = sender.inputs["TICKET"][0].decode(), sender.inputs["STEPS"][0]
            if steps < 0:
                self.engine.cancel(ticket)
                sender.end()
            else:
                # whoever has a ticket minds the edit; to ask Triton once a step takes a while
                left = (lambda: False) if ticket else sender.left
                self.engine.admit(Running(ticket, self.progress(sender.inputs), sender.send, sender.end, left))

    def progress(self, inputs):
        tensors = (inputs[name] for name in ("LATENTS", "CONDITIONING", "CELLS"))
        numbers = (inputs[name][0].item() for name in ("SEED", "STEPS", "GUIDANCE", "PREVIEWS"))
        for step in self.denoiser.run(*tensors, *numbers, boxes=inputs["BOXES"]):
            nothing_due = step.preview is None and step.latents is None
            yield None if nothing_due else {
                "LATENTS": NO_LATENTS if step.latents is None else step.latents,
                "PREVIEW": NO_PREVIEW if step.preview is None else step.preview,
                "STEP": np.array([step.step, step.steps], np.int32),
                **{name: inputs[name] for name in ("SOURCE", "CELLS", "INFO")},
            }

    def finalize(self):
        self.engine.stop()
