"""Stage 8: write all networks as one diffusers checkpoint in bfloat16, with sample pictures."""

import json
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
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
from training import grammar, preview, samples, scope, start
from training.kinds import learnt
from training.parser import ParserNetworks
from training.scenes import BUCKETS
from training.teacher import LabelEncoder
from training.vae import FACTOR
from training.vocabulary import IDLE_OPS, OPS
from training.worlds import draw_example

SHIFT = 3.0
STEPS = 3
THRESHOLD = 0.35
FREE = ("CC0-1.0", "public domain")  # licences of photographs whose parts may be committed
EXAMPLES = 4  # of every operation at most: some have one usual wording
EXAMPLE_DRAWS = 4000
CALIBRATION_PAIRS = 64


def write(
    out: Path,
    work: Path,
    vae: AutoencoderKL,
    networks: ParserNetworks,
    connector: Connector,
    transformer: Flux2Transformer2DModel,
    teacher: LabelEncoder,
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
        prediction="affine",
        default_steps=STEPS,
        region_threshold=THRESHOLD,
        keep_below=0,  # changes of tone are small
        finest_detail=FACTOR,
    )
    pipeline.to(torch.bfloat16).save_pretrained(out)
    _image_processor().save_pretrained(out / "image_processor")
    start.write(out, networks.contents, teacher)
    save_file(preview.fit(), out / "preview.safetensors")
    calibration_pairs(out / "calibration")
    (out / "examples.json").write_text(json.dumps(examples(), ensure_ascii=False, indent=1) + "\n")
    samples.write(out)
    return pipeline


def calibration_pairs(folder: Path) -> None:
    """Write pictures and instructions of all worlds, from which narrow lanes are calibrated. Their
    photographs are in the public domain."""
    rng = random.Random("calibration")
    drawn = (
        draw_example(rng, BUCKETS[number % len(BUCKETS)], licences=FREE)
        for number in range(CALIBRATION_PAIRS)
    )
    write_pairs(folder, ((example.source, example.sentence) for example in drawn))


def write_pairs(folder: Path, pairs: Iterable[tuple[np.ndarray, str]]) -> None:
    """Write pictures uint8 [H, W, 3] and their instructions as an export reads them."""
    rows = []
    folder.mkdir(exist_ok=True)
    for number, (pixels, instruction) in enumerate(pairs):
        rows.append(json.dumps({"image": f"{number:02d}.png", "instruction": instruction}))
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    (folder / "pairs.jsonl").write_text("\n".join(rows) + "\n")


def examples() -> list[dict[str, str]]:
    """Instructions in their most usual wording, with their operation, for hints."""
    rng = random.Random("examples")
    kinds = learnt()
    texts: dict[str, dict[str, None]] = {op: {} for op in OPS if op not in IDLE_OPS}
    for _ in range(EXAMPLE_DRAWS):
        operations = grammar.draw_operation(rng, kinds).operations
        sentences = texts[operations[0].op]
        if (
            scope.within(operations[0])
            and scope.names_supported(operations[0])
            and len(sentences) < EXAMPLES
        ):
            text = grammar.sentence(rng, operations, (), plain=True, kinds=kinds, exact=True)
            sentences[text] = None
    return [{"sentence": text, "op": op} for op, rows in texts.items() for text in rows]


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
