import numpy as np

from retouch import triton
from retouch.lanes import choose
from retouch.preprocess import preprocess


class TritonPythonModel:
    """Decodes, checks and fits; rows may have different sizes, so each is done by itself."""

    def initialize(self, args):
        self.lanes, self.versions = triton.wired(args), triton.versions(args)

    def execute(self, requests):
        return triton.per_row(requests, self.row)

    def row(self, inputs):
        request = triton.request_of(inputs)
        done = preprocess(request, choose(request.precision, self.lanes()))
        done.info.versions = self.versions
        texts = {"KEY": done.key, "INFO": done.info.to_json(), "TICKET": ""}
        return {
            "PIXELS": done.pixels,
            "MASK": done.mask,
            "SOURCE": np.array([inputs[name][0] for name in ("IMAGE", "REGION", "FORMAT")], object),
            **{name: np.array([text.encode()], object) for name, text in texts.items()},
        }
