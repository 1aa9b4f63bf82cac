"""The networks with which training begins: new ones, or those of a checkpoint."""

from __future__ import annotations

from pathlib import Path

from diffusers import AutoencoderKL, Flux2Transformer2DModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file
from torch import nn

from retouch.families.instructx.adapter import without_adapter
from retouch.families.instructx.pipeline import RetouchPipeline
from retouch.networks.instructx import Connector
from training.parser import ParserNetworks
from training.teacher import LabelEncoder

FILE = "training.safetensors"  # of a checkpoint: what an edit does not need


class Start:
    """A checkpoint from which training goes on. Its adapter is merged into the language model."""

    def __init__(self, folder: Path):
        """FileNotFoundError where the folder has no FILE."""
        if not (folder / FILE).is_file():
            raise FileNotFoundError(f"{folder.name} has no {FILE}, which training goes on from")
        self._pipeline = RetouchPipeline.from_pretrained(folder)
        self._training = load_file(folder / FILE)

    def write_tokenizer(self, path: Path) -> None:
        self._pipeline.tokenizer.backend_tokenizer.save(str(path))

    @property
    def autoencoder(self) -> AutoencoderKL:
        return self._pipeline.vae.eval()

    def fill_parser(self, networks: ParserNetworks) -> None:
        language = self._pipeline.text_encoder
        adapted = [layer for layer in language.modules() if isinstance(layer, BaseTunerLayer)]
        for layer in adapted:
            layer.merge()
        base = without_adapter(language) if adapted else language
        networks.text_encoder.load_state_dict(base.state_dict())
        networks.meta_queries.load_state_dict(self._pipeline.meta_queries.state_dict())
        networks.heads.load_state_dict(self._pipeline.parser_heads.state_dict())
        networks.contents.load_state_dict(self._of("contents"))

    def fill_transformer(self, model: Flux2Transformer2DModel, teacher: LabelEncoder) -> None:
        model.load_state_dict(self._pipeline.transformer.state_dict())
        teacher.load_state_dict(self._of("teacher"))

    def fill_connector(self, connector: Connector) -> None:
        connector.load_state_dict(self._pipeline.connector.state_dict())

    def _of(self, name: str) -> dict:
        prefix = f"{name}."
        return {
            key.removeprefix(prefix): value.float()
            for key, value in self._training.items()
            if key.startswith(prefix)
        }


def write(folder: Path, contents: nn.Module, teacher: LabelEncoder) -> None:
    """Write what training goes on from and an edit does not need."""
    parts = {"contents": contents, "teacher": teacher}
    save_file(
        {
            f"{name}.{key}": value.bfloat16().contiguous()
            for name, part in parts.items()
            for key, value in part.state_dict().items()
        },
        folder / FILE,
    )
