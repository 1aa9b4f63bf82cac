from retouch.families.connector import Connector
from retouch.serving.triton import model_args, stages


class TritonPythonModel:
    """From the parser's queries to prompt embeds."""

    def initialize(self, args):
        self.stage = Connector(model_args.folder(args), backend=model_args.backend(args))

    def execute(self, requests):
        return stages.per_row(
            requests, lambda row: {"PROMPT_EMBEDS": self.stage.run(row["QUERIES"][None])[0]}
        )
