from retouch import repository, triton
from retouch.gate import Gate


class TritonPythonModel:
    """The same edits with exactly one response each."""

    def initialize(self, args):
        models = triton.repository(args)
        self.gate = Gate(triton.call, triton.stream, triton.lanes(args), lambda: repository.family(models),
                         repository.versions(models))

    def execute(self, requests):
        return triton.last_answers(requests, self.gate.edit)
