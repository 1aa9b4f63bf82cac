import numpy as np

from retouch.families.vae import VaeDecoder
from retouch.serving.triton import model_args, stages


class TritonPythonModel:
    """From latents to an image."""

    def initialize(self, args):
        self.stage = model_args.part(args, VaeDecoder)

    def execute(self, requests):
        return stages.per_row(requests, self.row)

    def row(self, inputs):
        latents = inputs["LATENTS"]
        if not latents.size:  # a preview of the ensemble
            return {"PIXELS": np.zeros((0, 0, 3), np.uint8)}
        return {"PIXELS": self.stage.run(latents[None])[0]}
