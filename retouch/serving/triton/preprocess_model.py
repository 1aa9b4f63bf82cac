"""The Triton model of the ensemble's first stage."""

from __future__ import annotations

from functools import partial

import numpy as np

from retouch.api.tensors import request_of
from retouch.families.denoise_request import Arrays
from retouch.routing.router import choose
from retouch.serving import drain, repository
from retouch.serving.denoise_params import DenoiseParams
from retouch.serving.preprocess import preprocess
from retouch.serving.triton import model_args, stages


class PreprocessModel:
    """Decodes, checks and fits a request. Rows may have different sizes, so they run one by one."""

    def initialize(self, args):
        models = model_args.repository(args)
        self.lanes = model_args.ensemble_lanes(args)
        self.versions = repository.versions(models)
        self.family = partial(repository.lane_family, models)

    def execute(self, requests):
        return stages.per_row(requests, self.row)

    def row(self, inputs: Arrays) -> Arrays:
        drain.check()
        request = request_of(inputs).validate_for_ensemble()
        choice = choose(request.precision, self.lanes())
        prepared = preprocess(request, choice, self.family(choice.lane))
        prepared.info.versions = self.versions
        params = DenoiseParams.of(request, request.deadline_ms, prepared.true_cfg)
        negatives = [] if prepared.negative is None else [prepared.negative.encode()]
        image_files = [request.image] if prepared.family.text_sees_images else []
        return {
            "PIXELS": prepared.pixels,
            "MASK": prepared.mask,
            "NEGATIVE": np.array(negatives, object),
            "IMAGE_FILES": np.array(image_files, object),
            "SOURCE": np.array([request.image, request.region, request.format.encode()], object),
            "INFO": np.array([prepared.info.to_json().encode()], object),
            "PARAMS": np.array([params.to_json().encode()], object),
        }
