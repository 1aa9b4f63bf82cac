from retouch import triton
from retouch.connector import Connector


class TritonPythonModel:
    def initialize(self, args):
        self.stage = Connector(triton.folder(args))

    def execute(self, requests):
        return triton.per_row(requests, lambda row: {"CONDITIONING": self.stage.run(row["QUERIES"][None])[0]})
