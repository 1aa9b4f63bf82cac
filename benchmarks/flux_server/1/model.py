from functools import cached_property

from benchmarks.flux import Flux, Settings
from retouch.serving.triton import model_args, stages


class TritonPythonModel:
    def initialize(self, args):
        self.settings = Settings.read(model_args.folder(args))

    @cached_property
    def flux(self):
        """Made by the first request, because Triton limits the time of `initialize`."""
        return Flux(self.settings)

    def execute(self, requests):
        return stages.per_row(requests, self.edit)

    def edit(self, inputs):
        steps = inputs.pop("STEPS")[0].item()
        return {
            "EDITED": self.flux.edit(steps, {name.lower(): value for name, value in inputs.items()})
        }
