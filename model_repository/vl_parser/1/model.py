import numpy as np

from retouch.api.response import EditInfo
from retouch.families.text_stage import stage_of
from retouch.serving.preprocess import region_of
from retouch.serving.triton import model_args, stages


class TritonPythonModel:
    def initialize(self, args):
        self.stage = stage_of(model_args.folder(args))

    def execute(self, requests):
        return stages.per_row(requests, self.row)

    def row(self, inputs):
        said, negative = (inputs[name][0].decode() for name in ("INSTRUCTION", "NEGATIVE"))
        parsed = self.stage.parse(list(inputs["IMAGE_FILES"]), inputs["PIXELS"], said, negative)
        info = EditInfo.from_json(inputs["INFO"][0])
        info.operations = parsed.operations
        info.cache = parsed.cached
        return {
            "QUERIES": parsed.queries,
            "BOXES": parsed.boxes.astype(np.float32),
            "CELLS": region_of(inputs["MASK"], parsed.region),
            "PROMPT_EMBEDS_POOLED": parsed.pooled_prompt_embeds,
            "NEGATIVE_EMBEDS": parsed.negative_embeds,
            "NEGATIVE_EMBEDS_POOLED": parsed.pooled_negative_embeds,
            "INFO": np.array([info.to_json().encode()], object),
        }
