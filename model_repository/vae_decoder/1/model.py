import numpy as np

from retouch.families.vae import VaeDecoder
from retouch.serving.triton import stage_args, stages


class TritonPythonModel:
    """From latents to an image."""

    def initialize(self, args):
        self.stage = stage_args.part(args, VaeDecoder)

    def execute(self, requests):
        return stages.in_batches(requests, self.rows, self.stage.batches)

    def rows(self, rows):
        results = [row["LATENTS"] for row in rows if row["LATENTS"].size]
        pixels = iter(self.stage.run_rows(results))
        no_pixels = np.zeros((0, 0, 3), np.uint8)  # for a preview of the ensemble
        return [{"PIXELS": next(pixels) if row["LATENTS"].size else no_pixels} for row in rows]
