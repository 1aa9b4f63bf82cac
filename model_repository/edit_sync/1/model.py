from retouch.serving import repository
from retouch.serving.edit_pipeline import EditPipeline
from retouch.serving.triton import calls, model_args, stages


class TritonPythonModel:
    """The same edits with exactly one response each."""

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
        return stages.last_answers(requests, self.gate.edit)
