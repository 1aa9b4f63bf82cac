import numpy as np

from retouch.api.response import EditInfo
from retouch.families.text_stage import stage_of
from retouch.serving.preprocess import region_of
from retouch.serving.triton import model_args, stages


class TritonPythonModel:
    """From an instruction to the connector's queries, and the cells to edit."""

    def initialize(self, args):
        self.parts = model_args.parts(args, stage_of)

    def execute(self, requests):
        return stages.per_row(requests, self.row)

    def row(self, inputs):
        image_files = list(inputs.get("IMAGE_FILES", ()))
        instruction = inputs["INSTRUCTION"][0].decode()
        negative = inputs["NEGATIVE"][0].decode() if "NEGATIVE" in inputs else ""
        info = EditInfo.from_json(inputs["INFO"][0])
        part = self.parts(info.lane)
        parsed = part.stage.parse(image_files, inputs["PIXELS"], instruction, negative)
        info.operations = parsed.operations
        info.cache = parsed.cached
        info.parts |= part.parts
        return {
            "QUERIES": parsed.queries,
            "BOXES": parsed.boxes.astype(np.float32),
            "CELLS": region_of(inputs["MASK"], parsed.region),
            "PROMPT_EMBEDS_POOLED": parsed.pooled_prompt_embeds,
            "NEGATIVE_EMBEDS": parsed.negative_embeds,
            "NEGATIVE_EMBEDS_POOLED": parsed.pooled_negative_embeds,
            "INFO": np.array([info.to_json().encode()], object),
        }
