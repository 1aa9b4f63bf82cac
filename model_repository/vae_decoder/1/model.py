import numpy as np

from retouch import triton
from retouch.vae import VaeDecoder


class TritonPythonModel:
    def initialize(self, args):
        self.stage = VaeDecoder(triton.folder(args))

    def execute(self, requests):
        return triton.per_row(requests, self.row)

    def row(self, inputs):
        latents = inputs["LATENTS"]
        if not latents.size:  # a preview on its way through the ensemble
            return {"PIXELS": np.zeros((0, 0, 3), np.uint8)}
        return {"PIXELS": self.stage.run(latents[None])[0]}
