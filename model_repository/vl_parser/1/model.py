import numpy as np

from retouch import triton
from retouch.answer import EditInfo
from retouch.parser import Parser
from retouch.preprocess import region_of


class TritonPythonModel:
    def initialize(self, args):
        self.stage = Parser(triton.folder(args))

    def execute(self, requests):
        return triton.per_row(requests, self.row)

    def row(self, inputs):
        parsed = self.stage.run(inputs["PIXELS"][None], [inputs["INSTRUCTION"][0].decode()])[0]
        info = EditInfo.from_json(inputs["INFO"][0])
        info.operations, info.cache = parsed.operations, parsed.remembered
        return {
            "QUERIES": parsed.queries,
            "BOXES": parsed.boxes.astype(np.float32),
            "CELLS": region_of(inputs["MASK"], parsed.region),
            "INFO": np.array([info.to_json().encode()], object),
        }
