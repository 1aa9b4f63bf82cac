from retouch import triton
from retouch.vae import VaeEncoder


class TritonPythonModel:
    def initialize(self, args):
        self.stage = VaeEncoder(triton.folder(args))

    def execute(self, requests):
        return triton.per_row(requests, lambda row: {"LATENTS": self.stage.run(row["PIXELS"][None])[0]})
