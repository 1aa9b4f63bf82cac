from retouch.serving import repository
from retouch.serving.edit_pipeline import EditPipeline
from retouch.serving.triton import calls, model_args, stages


class TritonPythonModel:
    """One edit an instance, from request to last answer; Triton's queue holds the others."""

    def initialize(self, args):
        models = model_args.repository(args)
        self.gate = EditPipeline(
            calls.call,
            calls.stream,
            model_args.lanes(args),
            lambda: repository.family(models),
            repository.versions(models),
        )

    def execute(self, requests):
        stages.stream_edits(requests, self.gate.edit)
