"""What is known of a pipeline by its class's name in `model_index.json` alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pipeline:
    """A pipeline class of a family. The defaults are those of its `__call__` in diffusers 0.42.1.

    `components` are required. `steps` 0 means that the checkpoint says, `guidance` 0 that the class
    takes none. With `runs_twice` guidance is classifier-free: every step runs the transformer
    twice. `text_tokens` is the most tokens of prompt embeds in a step, of the prompt and of the
    images that the text model sees. With `caches_reference` the reference's keys and values are
    computed once an image; otherwise its tokens are in every step. `sides` are those of usual
    square images, in pixels. `family` is filled in by `retouch_export.pipelines`. A checkpoint
    that is distilled, by its `model_index.json`, takes `distilled_steps` and no guidance. What is
    `optional` are files and folders that an export reads where they exist."""

    components: tuple[str, ...]
    steps: int = 0
    guidance: float = 0.0
    runs_twice: bool = False
    text_tokens: int = 512
    caches_reference: bool = False
    sides: tuple[int, ...] = (512, 1024)
    family: str = ""
    distilled_steps: int = 0
    optional: tuple[str, ...] = ()


# components of every pipeline
COMPONENTS = ("scheduler", "vae", "text_encoder", "tokenizer", "transformer")
