"""Stage 6: write all networks as one diffusers checkpoint in bfloat16, with a sample edit."""

import json
import random
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, Flux2Transformer2DModel
from PIL import Image
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from retouch.families.instructx.pipeline import RetouchPipeline
from retouch.families.instructx.prompt import END, IMAGE_PAD
from retouch.networks.instructx import Connector
from training import preview
from training.parser import ParserNetworks
from training.render import Scene, Shape, render
from training.scenes import BUCKETS, EDIT_KINDS, draw_pair

SHIFT = 3.0
STEPS = 3
THRESHOLD = 0.35
SAMPLE = (
    Scene(
        128,
        128,
        "yellow",
        "diagonal",
        (
            Shape("red", "circle", "large", 42, 44),
            Shape("green", "square", "medium", 102, 62),
            Shape("purple", "star", "large", 64, 106),
        ),
    ),
    "make the red circle blue",
)


def write(
    out: Path,
    work: Path,
    vae: AutoencoderKL,
    networks: ParserNetworks,
    connector: Connector,
    transformer: Flux2Transformer2DModel,
) -> RetouchPipeline:
    pipeline = RetouchPipeline(
        vae=vae,
        text_encoder=networks.text_encoder,
        tokenizer=_tokenizer(work),
        meta_queries=networks.meta_queries,
        parser_heads=networks.heads,
        connector=connector,
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        prediction="sample",
        default_steps=STEPS,
        region_threshold=THRESHOLD,
    )
    pipeline.to(torch.bfloat16).save_pretrained(out)
    _image_processor().save_pretrained(out / "image_processor")
    save_file(preview.fit(), out / "preview.safetensors")
    calibration_pairs(out / "calibration")
    scene, sentence = SAMPLE
    Image.fromarray(render(scene).pixels).save(out / "sample.png")
    (out / "sample.txt").write_text(sentence + "\n")
    return pipeline


def calibration_pairs(folder: Path, count: int = 64) -> None:
    """Write images and instructions of all kinds of edits, from which narrow lanes are
    calibrated."""
    rng = random.Random("calibration")
    rows = []
    folder.mkdir(exist_ok=True)
    for number in range(count):
        pair = draw_pair(rng, BUCKETS[number % len(BUCKETS)], EDIT_KINDS[number % len(EDIT_KINDS)])
        rows.append(json.dumps({"image": f"{number:02d}.png", "instruction": pair.instruction}))
        Image.fromarray(render(pair.source).pixels).save(folder / f"{number:02d}.png")
    (folder / "pairs.jsonl").write_text("\n".join(rows) + "\n")


def _tokenizer(work: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_file(str(work / "tokenizer.json")),
        eos_token=END,
        pad_token="<|endoftext|>",
        extra_special_tokens={"image_token": IMAGE_PAD},
    )


def _image_processor() -> Qwen2VLImageProcessorPil:
    return Qwen2VLImageProcessorPil(
        patch_size=8,
        merge_size=2,
        temporal_patch_size=2,
        do_resize=False,
        size={"shortest_edge": 16 * 16, "longest_edge": 4096 * 4096},
    )
