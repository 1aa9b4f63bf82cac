from retouch.api.response import EditInfo
from retouch.families.text_stage import stage_of
from retouch.serving.parser_metrics import ParserMetrics
from retouch.serving.parser_tensors import parse_input, parser_outputs
from retouch.serving.triton import stage_args, stages
from retouch.serving.triton.metrics import Metrics


class TritonPythonModel:
    """From an instruction to the connector's queries, and the cells to edit."""

    def initialize(self, args):
        self.parts = stage_args.parts(args, stage_of)
        self.counts = ParserMetrics()
        self.metrics = Metrics({}, *self.counts.groups())

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
                self.counts.record(infos[index])
        return outputs

    def finalize(self):
        self.metrics.stop()
