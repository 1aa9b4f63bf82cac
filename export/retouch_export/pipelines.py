"""The pipelines that are recognised by their class's name in `model_index.json`, and what is known
by it alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pipeline:
    """`components` are those without which the pipeline cannot be made. `steps` and `guidance` are
    the defaults of the class's `__call__` in diffusers 0.42.1.

    `steps` 0: the checkpoint says. `guidance` 0: the class takes none. With `twice` it is true
    classifier-free guidance, and every step runs the transformer a second time. `text` is how many
    tokens of conditioning a step has at most: the prompt's, and those of the images that Qwen2.5-VL
    sees with it. With `keeps` the reference's keys and values are computed once an image; otherwise
    its tokens are in every step. `sides` are those of usual square images, in pixels."""

    family: str
    components: tuple[str, ...]
    steps: int = 0
    guidance: float = 0.0
    twice: bool = False
    text: int = 512
    keeps: bool = False
    sides: tuple[int, ...] = (512, 1024)


PARSED = ("meta_queries", "parser_heads", "connector")
ENCODED = ("scheduler", "vae", "text_encoder", "tokenizer", "transformer")

PIPELINES = {
    "RetouchPipeline": Pipeline("instructx", ENCODED + PARSED, text=8, keeps=True, sides=(128,)),
    "FluxKontextPipeline": Pipeline(
        "flux-kontext", (*ENCODED, "text_encoder_2", "tokenizer_2"), 28, 2.5
    ),
    # Qwen2.5-VL makes a token of 28 x 28 pixels: of 1024 x 1024 1,337, of the later ones' 384 x 384
    # 188
    "QwenImageEditPipeline": Pipeline(
        "qwen-image-edit", (*ENCODED, "processor"), 50, 4.0, twice=True, text=512 + 1337
    ),
    "QwenImageEditPlusPipeline": Pipeline(
        "qwen-image-edit", (*ENCODED, "processor"), 50, 4.0, twice=True, text=512 + 188
    ),
    "Flux2KleinKVPipeline": Pipeline("flux2-klein-kv", ENCODED, 4, keeps=True),
}
