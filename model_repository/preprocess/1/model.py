import numpy as np

from retouch import repository, triton
from retouch.lanes import choose
from retouch.order import Order
from retouch.preprocess import preprocess
from retouch.wire import request_of


class TritonPythonModel:
    """Decodes, checks and fits; rows may have different sizes, so each is done by itself."""

    def initialize(self, args):
        self.lanes, self.versions = triton.wired(args), repository.versions(triton.repository(args))

    def execute(self, requests):
        return triton.per_row(requests, self.row)

    def row(self, inputs):
        request = request_of(inputs)
        done = preprocess(request, choose(request.precision, self.lanes()))
        done.info.versions = self.versions
        order = Order.of(request, deadline_ms=request.deadline_ms)
        texts = {"KEY": done.key, "INFO": done.info.to_json(), "ORDER": order.to_json()}
        return {
            "PIXELS": done.pixels,
            "MASK": done.mask,
            "SOURCE": np.array([inputs[name][0] for name in ("IMAGE", "REGION", "FORMAT")], object),
            **{name: np.array([text.encode()], object) for name, text in texts.items()},
        }
