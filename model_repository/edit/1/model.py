from retouch import repository, triton
from retouch.gate import Gate


class TritonPythonModel:
    """One edit an instance, from request to last answer; Triton's queue holds the others."""

    def initialize(self, args):
        self.gate = Gate(triton.call, triton.stream, triton.lanes(args), repository.versions(triton.repository(args)))

    def execute(self, requests):
        triton.stream_edits(requests, self.gate.edit)
