from retouch.families.vae import VaeEncoder
from retouch.serving.triton import stage_args, stages


class TritonPythonModel:
    """From an image to latents."""

    def initialize(self, args):
        self.stage = stage_args.part(args, VaeEncoder)

    def execute(self, requests):
        return stages.in_batches(requests, self.rows, self.stage.batches)

    def rows(self, rows):
        latents = self.stage.run_rows([row["PIXELS"] for row in rows])
        return [{"LATENTS": row_latents} for row_latents in latents]
