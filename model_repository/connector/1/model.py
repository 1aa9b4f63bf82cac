import numpy as np

from retouch.api.response import EditInfo
from retouch.families.connector import Connector
from retouch.serving.triton import model_args, stages


class TritonPythonModel:
    """From the parser's queries to prompt embeds."""

    def initialize(self, args):
        self.parts = model_args.parts(args, Connector)

    def execute(self, requests):
        return stages.per_row(requests, self.row)

    def row(self, inputs):
        info = EditInfo.from_json(inputs["INFO"][0])
        part = self.parts(info.lane)
        info.parts |= part.parts
        return {
            "PROMPT_EMBEDS": part.stage.run(inputs["QUERIES"][None])[0],
            "INFO": np.array([info.to_json().encode()], object),
        }
