from retouch.api.response import EditInfo
from retouch.api.tensors import tensors_of
from retouch.serving import repository
from retouch.serving.postprocess import postprocess
from retouch.serving.source_image import SourceImage
from retouch.serving.triton import model_args, stages


class TritonPythonModel:
    """Scales, pastes and encodes an answer, row by row: rows may differ in size."""

    def initialize(self, args):
        self.family = repository.family(model_args.repository(args))

    def execute(self, requests):
        return stages.per_row(requests, self.row)

    def row(self, inputs):
        image, region, answer_format = inputs["SOURCE"]
        source = SourceImage.of(image, region, answer_format.decode(), self.family)
        step = tuple(inputs["STEP"].tolist())
        picture = inputs["PIXELS"] if inputs["PIXELS"].size else inputs["PREVIEW"]
        answer = postprocess(
            source, inputs["CELLS"], picture, step, EditInfo.from_json(inputs["INFO"][0])
        )
        return {name: value[0] for name, value in tensors_of(answer).items()}
