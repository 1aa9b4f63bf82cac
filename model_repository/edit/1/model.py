from retouch import repository, triton
from retouch.gate import Gate


class TritonPythonModel:
    """One edit an instance, from request to last answer; Triton's queue holds the others."""

    def initialize(self, args):
        models = triton.repository(args)
        self.gate = Gate(triton.call, triton.stream, triton.lanes(args), lambda: repository.family(models),
                         repository.versions(models))

    def execute(self, requests):
        triton.stream_edits(requests, self.gate.edit)
