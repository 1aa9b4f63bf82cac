from retouch import repository, triton
from retouch.answer import EditInfo
from retouch.postprocess import postprocess
from retouch.source import Source
from retouch.wire import tensors_of


class TritonPythonModel:
    """Answers differ in size, so each is done by itself."""

    def initialize(self, args):
        self.family = repository.family(triton.repository(args))

    def execute(self, requests):
        return triton.per_row(requests, self.row)

    def row(self, inputs):
        image, region, format = inputs["SOURCE"]
        source, step = Source.of(image, region, format.decode(), self.family), tuple(inputs["STEP"].tolist())
        picture = inputs["PIXELS"] if inputs["PIXELS"].size else inputs["PREVIEW"]
        answer = postprocess(source, inputs["CELLS"], picture, step, EditInfo.from_json(inputs["INFO"][0]))
        return {name: value[0] for name, value in tensors_of(answer).items()}
