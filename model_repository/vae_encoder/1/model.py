from retouch.families.vae import VaeEncoder
from retouch.serving.triton import model_args, stages


class TritonPythonModel:
    """From an image to latents."""

    def initialize(self, args):
        self.stage = model_args.part(args, VaeEncoder)

    def execute(self, requests):
        return stages.per_row(
            requests, lambda row: {"LATENTS": self.stage.run(row["PIXELS"][None])[0]}
        )
