import numpy as np

from retouch import drain, repository, triton
from retouch.lanes import choose
from retouch.order import Order
from retouch.preprocess import preprocess
from retouch.types import RequestError
from retouch.wire import request_of


class TritonPythonModel:
    """Decodes, checks and fits; rows may have different sizes, so each is done by itself."""

    def initialize(self, args):
        models = triton.repository(args)
        self.lanes, self.versions, self.family = triton.wired(args), repository.versions(models), repository.family(models)

    def execute(self, requests):
        return triton.per_row(requests, self.row)

    def row(self, inputs):
        drain.check()
        request = request_of(inputs)
        if request.references:
            raise RequestError("edit_ensemble takes one image; send REFERENCES to edit or edit_sync")
        done = preprocess(request, choose(request.precision, self.lanes()), self.family)
        done.info.versions = self.versions
        order = Order.of(request, request.deadline_ms, done.true_cfg)
        texts = {"INFO": done.info.to_json(), "ORDER": order.to_json(), "AGAINST": done.negative}
        return {
            "PIXELS": done.pixels,
            "MASK": done.mask,
            "MORE": np.zeros(0, np.float32),
            "PHOTOS": np.array([request.image], object),
            "SOURCE": np.array([request.image, request.region, request.format.encode()], object),
            **{name: np.array([text.encode()], object) for name, text in texts.items()},
        }
