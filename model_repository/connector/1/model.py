import numpy as np

from retouch.api.response import EditInfo
from retouch.families.connector import Connector
from retouch.serving.triton import stage_args, stages


class TritonPythonModel:
    """From the parser's queries to prompt embeds."""

    def initialize(self, args):
        self.parts = stage_args.parts(args, Connector)

    def execute(self, requests):
        return stages.in_batches(requests, self.rows, self.parts.batches)

    def rows(self, rows):
        infos = [EditInfo.from_json(row["INFO"][0]) for row in rows]
        outputs = [{} for _ in rows]
        for part, indices in self.parts.grouped([info.lane for info in infos]):
            embeds = part.stage.run_rows([rows[index]["QUERIES"] for index in indices])
            for index, row_embeds in zip(indices, embeds):
                infos[index].parts |= part.parts
                info = np.array([infos[index].to_json().encode()], object)
                outputs[index] = {"PROMPT_EMBEDS": row_embeds, "INFO": info}
        return outputs
