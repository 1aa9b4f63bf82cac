import numpy as np

from retouch import triton
from retouch.answer import EditInfo
from retouch.preprocess import region_of
from retouch.readers.stage import stage_of


class TritonPythonModel:
    def initialize(self, args):
        self.stage = stage_of(triton.folder(args))

    def execute(self, requests):
        return triton.per_row(requests, self.row)

    def row(self, inputs):
        said, negative = (inputs[name][0].decode() for name in ("INSTRUCTION", "NEGATIVE"))
        parsed = self.stage.parse(list(inputs["PHOTOS"]), inputs["PIXELS"], said, negative)
        info = EditInfo.from_json(inputs["INFO"][0])
        info.operations, info.cache = parsed.operations, parsed.remembered
        return {
            "QUERIES": parsed.queries,
            "BOXES": parsed.boxes.astype(np.float32),
            "CELLS": region_of(inputs["MASK"], parsed.region),
            "POOLED": parsed.pooled,
            "AGAINST": parsed.against,
            "AGAINST_POOLED": parsed.against_pooled,
            "INFO": np.array([info.to_json().encode()], object),
        }
