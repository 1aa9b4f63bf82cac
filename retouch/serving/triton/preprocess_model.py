"""The Triton model of an ensemble's first stage."""

from __future__ import annotations

import numpy as np

from retouch.api.tensors import request_of
from retouch.routing.router import choose
from retouch.serving import drain, repository
from retouch.serving.denoise_params import DenoiseParams
from retouch.serving.preprocess import preprocess
from retouch.serving.triton import model_args, stages


class PreprocessModel:
    """Decodes, checks and fits; rows may have different sizes, so each is done by itself."""

    def initialize(self, args):
        models = model_args.repository(args)
        self.lanes = model_args.ensemble_lanes(args)
        self.versions = repository.versions(models)
        self.family = repository.family(models)

    def execute(self, requests):
        return stages.per_row(requests, self.row)

    def row(self, inputs):
        drain.check()
        request = request_of(inputs).validate_for_ensemble()
        done = preprocess(request, choose(request.precision, self.lanes()), self.family)
        done.info.versions = self.versions
        order = DenoiseParams.of(request, request.deadline_ms, done.true_cfg)
        texts = {
            "INFO": done.info.to_json(),
            "PARAMS": order.to_json(),
            "NEGATIVE_EMBEDS": done.negative,
        }
        return {
            "PIXELS": done.pixels,
            "MASK": done.mask,
            "REFERENCE_LATENTS": np.zeros(0, np.float32),
            "IMAGE_FILES": np.array([request.image], object),
            "SOURCE": np.array([request.image, request.region, request.format.encode()], object),
            **{name: np.array([text.encode()], object) for name, text in texts.items()},
        }
