"""Qwen-Image-Edit checkpoints of random weights with the real ones' classes, saved by diffusers'
own pipelines, and small images in place of large ones."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImageEditPipeline,
    QwenImageEditPlusPipeline,
    QwenImageTransformer2DModel,
)
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit as single
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as plus
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen2VLProcessor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from retouch.artifacts.manifest import Manifest, publish, read
from retouch.backends.base import joined
from retouch.offline.text_encoder_loop import TextEncoderLoop
from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph
from retouch_export.parts import OPSET, stages_of
from retouch_export.qwen_image_edit import pipelines
from tiny import round_weights, shake

AREA = 64 * 96
SEEN_AREA = 84 * 84  # in place of 1024² and 384²
WORDS = 48  # of the text model's hidden states
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
PIPELINES = {
    False: QwenImageEditPipeline,
    True: QwenImageEditPlusPipeline,
}  # by whether they take several photos
SENTENCES = (
    "make the red circle blue",
    "Describe the key features of the input image",
    "user\nassistant\nsystem\n",
)


def small_images(patch) -> None:
    """Make both pipelines, and the export, edit images of AREA; `patch` is pytest's MonkeyPatch."""
    original = single.calculate_dimensions
    patch.setattr(single, "calculate_dimensions", lambda area, ratio: original(AREA, ratio))
    patch.setattr(plus, "VAE_IMAGE_SIZE", AREA)
    patch.setattr(plus, "CONDITION_IMAGE_SIZE", SEEN_AREA)
    patch.setattr(pipelines, "AREA", AREA)


def make_checkpoint(path: Path, several: bool, zero_cond_t: bool = False, blocks: int = 2) -> Path:
    """Write one of the pipeline for one photo or for several to `path`, every weight a bfloat16
    number."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    processor = Processor(
        Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=160 * 160), tokenizer
    )
    networks = make_text_model(tokenizer), make_vae(), make_transformer(zero_cond_t, blocks)
    for network in networks:
        round_weights(network)
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=0.9,
        max_image_seq_len=8192,
        shift_terminal=0.02,
    )
    text_encoder, vae, transformer = networks
    PIPELINES[several](
        scheduler, vae, text_encoder, tokenizer, processor, transformer
    ).save_pretrained(path)
    return path


def load_pipeline(path: Path, several: bool, fixed: bool = True):
    """diffusers' pipeline of a checkpoint.

    With `fixed` the text model is told which tokens are a photo's. transformers 5 needs that for
    rows and columns of rotary positions, and the pipelines of diffusers 0.42 leave it out
    (diffusers issue 14194)."""
    tokenizer = Qwen2Tokenizer.from_pretrained(path / "tokenizer")
    processor = Processor(Qwen2VLImageProcessorPil.from_pretrained(path / "processor"), tokenizer)
    text_encoder = Qwen2_5_VLForConditionalGeneration.from_pretrained(path / "text_encoder").eval()
    forward = text_encoder.forward
    photo = text_encoder.config.image_token_id
    if fixed:
        text_encoder.forward = lambda input_ids, **options: forward(
            input_ids=input_ids, mm_token_type_ids=(input_ids == photo).int(), **options
        )
    scheduler, vae, transformer = (
        kind.from_pretrained(path / name)
        for kind, name in (
            (FlowMatchEulerDiscreteScheduler, "scheduler"),
            (AutoencoderKLQwenImage, "vae"),
            (QwenImageTransformer2DModel, "transformer"),
        )
    )
    pipeline = PIPELINES[several](
        scheduler, vae.eval(), text_encoder, tokenizer, processor, transformer.eval()
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


class Processor(Qwen2VLProcessor):
    """transformers' own, without the part for videos, which needs torchvision."""

    def __init__(self, image_processor=None, tokenizer=None, **kwargs):
        super().__init__(image_processor, tokenizer, **kwargs)


def make_tokenizer() -> Qwen2Tokenizer:
    """With Qwen2's own rules, and a vocabulary learnt from a few sentences."""
    bare = Qwen2Tokenizer().backend_tokenizer
    learnt = Tokenizer(models.BPE())
    learnt.normalizer = bare.normalizer
    learnt.pre_tokenizer = bare.pre_tokenizer
    learnt.train_from_iterator(
        SENTENCES * 4,
        trainers.BpeTrainer(
            vocab_size=320,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    model = json.loads(learnt.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]]
    )
    tokenizer.add_tokens(
        [AddedToken(token, special=True) for token in SPECIAL], special_tokens=True
    )
    return tokenizer


def make_text_model(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLForConditionalGeneration:
    text = dict(
        vocab_size=len(tokenizer),
        hidden_size=WORDS,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=1,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]},
    )
    vision = dict(
        depth=2,
        hidden_size=32,
        intermediate_size=48,
        num_heads=2,
        out_hidden_size=WORDS,
        window_size=56,
        fullatt_block_indexes=[1],
    )
    start, end, image, video = (tokenizer.convert_tokens_to_ids(token) for token in SPECIAL[3:])
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        vision_start_token_id=start,
        vision_end_token_id=end,
        image_token_id=image,
        video_token_id=video,
    )
    model = Qwen2_5_VLForConditionalGeneration(config).eval()
    shake(model)
    return model


def make_vae() -> AutoencoderKLQwenImage:
    vae = AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2, 2, 2],
        num_res_blocks=1,
        latents_mean=[-0.7, 0.1, 0.9, 0.4],
        latents_std=[2.8, 1.4, 0.6, 1.1],
    ).eval()
    shake(vae)
    return vae


def make_transformer(zero_cond_t: bool, blocks: int) -> QwenImageTransformer2DModel:
    model = QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=blocks,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=WORDS,
        axes_dims_rope=(8, 12, 12),
        zero_cond_t=zero_cond_t,
    ).eval()
    shake(model)
    return model


class TorchGraphs:
    batches = False
    compiles = False

    """A runner of the stages' torch modules, in place of the graphs that they become."""

    workers = 1

    def __init__(
        self,
        modules: dict[tuple[str, str], Graph],
        folder: Path,
        graph: str,
        keep: tuple[str, ...] = (),
    ):
        self.manifest = read(folder)
        self._graph = modules[folder.parent.name, graph]

    @torch.no_grad()
    def run(self, **inputs: np.ndarray | list[np.ndarray]) -> dict[str, np.ndarray]:
        tensors = {name: torch.from_numpy(joined(value)) for name, value in inputs.items()}
        outputs = self._graph.module(**tensors)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return {name: value.numpy() for name, value in zip(self._graph.outputs, outputs)}


def torch_loop(checkpoint: Checkpoint, repository: Path) -> TextEncoderLoop:
    """Our stages in torch: a repository without graphs, and the modules that they would be traced
    from."""
    modules = {}
    for stage in stages_of(checkpoint.family):
        part = stage.part()
        folder = stage.folder(repository, "bf16")
        modules |= {(folder.parent.name, graph.name): graph for graph in part.graphs(checkpoint)}
        staging = folder / "staging"
        staging.mkdir(parents=True)
        part.files(checkpoint, staging)
        publish(
            staging,
            folder,
            Manifest(
                checkpoint.family,
                "",
                "bf16",
                "float32",
                OPSET,
                settings=part.all_settings(checkpoint),
            ),
        )
    runner = partial(TorchGraphs, modules)
    return TextEncoderLoop(repository, backend=runner, others=runner)
