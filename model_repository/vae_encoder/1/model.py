from retouch.families.vae import VaeEncoder
from retouch.serving.triton import model_args, stages


class TritonPythonModel:
    """From an image to latents."""

    def initialize(self, args):
        self.stage = VaeEncoder(model_args.folder(args), backend=model_args.backend(args))

    def execute(self, requests):
        return stages.per_row(
            requests, lambda row: {"LATENTS": self.stage.run(row["PIXELS"][None])[0]}
        )
