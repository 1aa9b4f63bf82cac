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
                progress = self.progress(sender.inputs, bool(ticket))
                self.engine.admit(Running(ticket, progress, sender.send, sender.end, sender.left))

    def progress(self, inputs, every_step):
        tensors = (inputs[name] for name in ("LATENTS", "CONDITIONING", "CELLS"))
        numbers = (inputs[name][0].item() for name in ("SEED", "STEPS", "GUIDANCE", "PREVIEWS"))
        for step in self.denoiser.run(*tensors, *numbers, boxes=inputs["BOXES"]):
            if every_step or step.preview is not None or step.latents is not None:
                yield {
                    "LATENTS": NO_LATENTS if step.latents is None else step.latents,
                    "PREVIEW": NO_PREVIEW if step.preview is None else step.preview,
                    "STEP": np.array([step.step, step.steps], np.int32),
                    **{name: inputs[name] for name in ("SOURCE", "CELLS", "INFO")},
                }

    def finalize(self):
        self.engine.stop()
