"""The stages of a family with a text encoder in one process, as the endpoints call them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from retouch.api.response import EditInfo
from retouch.families import text_stage
from retouch.families.denoise_request import Arrays
from retouch.families.text_stage import TextStage
from retouch.offline.text_encoder_loop import TextEncoderLoop
from retouch.serving.denoise_params import EDIT, DenoiseParams
from retouch.serving.edit_pipeline import EditPipeline
from retouch.serving.parser_tensors import parse_input, parser_outputs


class EditStages:
    """The models behind every endpoint, by the parts of a loop."""

    def __init__(self, loop: TextEncoderLoop):
        self._loop = loop
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_stage, "text_encoder_of", lambda *_: loop.text_encoder)
            self._text = TextStage(Path())

    def endpoint(self) -> EditPipeline:
        """An endpoint of its own, as every user may have one."""
        return EditPipeline(
            self._call, self._stream, lambda: ("bf16",), lambda lane: self._loop.denoiser.family
        )

    def _call(self, model: str, inputs: Arrays) -> Arrays:
        row = {name: value[0] for name, value in inputs.items()}
        outputs = {
            "vl_parser": self._parse,
            "connector": lambda row: {"PROMPT_EMBEDS": row["QUERIES"], "INFO": row["INFO"]},
            "vae_encoder": lambda row: {"LATENTS": self._loop.encoder.run(row["PIXELS"][None])[0]},
            "vae_decoder": lambda row: {"PIXELS": self._loop.decoder.run(row["LATENTS"][None])[0]},
        }[model](row)
        return {name: value[None] for name, value in outputs.items()}

    def _parse(self, row: Arrays) -> Arrays:
        (parsed,) = self._text.parse([parse_input(row)])
        return parser_outputs(row, EditInfo.from_json(row["INFO"][0]), parsed)

    def _stream(self, model: str, inputs: Arrays) -> Iterator[Arrays]:
        row = {name: value[0] for name, value in inputs.items()}
        params = DenoiseParams.from_json(row.pop("PARAMS")[0])
        assert params.action == EDIT
        for progress in self._loop.denoiser.run(params.denoise_request(row)):
            tensors = progress.tensors()
            if tensors is not None:
                answer = tensors | {"INFO": row["INFO"]}
                yield {name: np.asarray(value)[None] for name, value in answer.items()}
