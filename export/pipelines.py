"""The pipelines that are recognised by their class's name in `model_index.json`, and what is known of each by it alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pipeline:
    """`steps` and `guidance` are the defaults of the class's `__call__` in diffusers 0.42.1.

    `steps` 0: the checkpoint says. `guidance` 0: the class takes none. With `twice` it is true classifier-free guidance, and
    every step runs the transformer a second time. `text` is how many tokens of conditioning a step has: the limit of
    the prompt's, and those of the images that Qwen2.5-VL sees with it. With `keeps` the reference's keys and values
    are computed once an image; otherwise its tokens are in every step. `sides` are those of usual square images.
    """

    family: str
    steps: int = 0
    guidance: float = 0.0
    twice: bool = False
    text: int = 512
    keeps: bool = False
    sides: tuple[int, ...] = (512, 1024)


PIPELINES = {
    "RetouchPipeline": Pipeline("instructx", text=8, keeps=True, sides=(128,)),
    "FluxKontextPipeline": Pipeline("flux-kontext", 28, 3.5),
    # 1024 x 1024 pixels are (1024 / 28)² tokens of Qwen2.5-VL, 384 x 384 for the later ones 188
    "QwenImageEditPipeline": Pipeline("qwen-image-edit", 50, 4.0, twice=True, text=512 + 1332),
    "QwenImageEditPlusPipeline": Pipeline("qwen-image-edit", 50, 4.0, twice=True, text=512 + 188),
    "Flux2KleinKVPipeline": Pipeline("flux2-klein-kv", 4, keeps=True),
}
