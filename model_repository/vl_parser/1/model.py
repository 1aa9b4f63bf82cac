from retouch.api.response import EditInfo
from retouch.families.text_stage import stage_of
from retouch.serving.parser_tensors import parse_input, parser_outputs
from retouch.serving.triton import stage_args, stages


class TritonPythonModel:
    """From an instruction to the connector's queries, and the cells to edit."""

    def initialize(self, args):
        self.parts = stage_args.parts(args, stage_of)

    def execute(self, requests):
        return stages.in_batches(requests, self.rows, self.parts.batches)

    def rows(self, rows):
        infos = [EditInfo.from_json(row["INFO"][0]) for row in rows]
        outputs = [{} for _ in rows]
        for part, indices in self.parts.grouped([info.lane for info in infos]):
            parsed = part.stage.parse([parse_input(rows[index]) for index in indices])
            for index, row_parsed in zip(indices, parsed):
                infos[index].parts |= part.parts
                outputs[index] = parser_outputs(rows[index], infos[index], row_parsed)
        return outputs
