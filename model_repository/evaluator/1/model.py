import numpy as np

from retouch.families.evaluator import Evaluator
from retouch.serving.scoring import scored
from retouch.serving.triton import stage_args, stages
from retouch.serving.triton.score_metrics import ScoreMetrics


class TritonPythonModel:
    """From a result to its scores."""

    def initialize(self, args):
        self.stage = Evaluator(stage_args.folder(args), stage_args.backend(args))
        self.metrics = ScoreMetrics()

    def execute(self, requests):
        return stages.per_row(requests, self.row)

    def row(self, row):
        info = scored(self.stage, row)
        self.metrics.record(info)
        return {"INFO": np.array([info.to_json().encode()], object)}

    def finalize(self):
        self.metrics.stop()
