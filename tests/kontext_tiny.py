"""A FLUX.1 Kontext checkpoint of random weights: diffusers' own classes, a few hundred thousand
parameters."""

from __future__ import annotations

import json
import random

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxKontextPipeline,
    FluxTransformer2DModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from training.scenes import draw_pair

TRANSFORMER = dict(
    in_channels=64,
    num_layers=1,
    num_single_layers=1,
    attention_head_dim=32,
    num_attention_heads=2,
    joint_attention_dim=64,
    pooled_projection_dim=32,
    guidance_embeds=True,
    axes_dims_rope=(8, 12, 12),
)
SCHEDULER = dict(
    shift=3.0,
    use_dynamic_shifting=True,
    base_shift=0.5,
    max_shift=1.15,
    base_image_seq_len=256,
    max_image_seq_len=4096,
)
START = "<|startoftext|>"
END = "<|endoftext|>"
CLIP_LENGTH = 77
T5_LENGTH = 40


def make_pipeline(seed: int = 0, text_layers: int = 2, **transformer) -> FluxKontextPipeline:
    """In float32; options are the transformer's. Both text encoders have `text_layers`."""
    torch.manual_seed(seed)
    clip_words = clip_tokenizer()
    t5_words = t5_tokenizer()
    pipeline = FluxKontextPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**SCHEDULER),
        vae=autoencoder(),
        # an end with id 2, as FLUX.1's config has it, makes CLIP take the largest id in a sentence
        # for its end
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(clip_words),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=text_layers,
                num_attention_heads=2,
                max_position_embeddings=CLIP_LENGTH,
                hidden_act="quick_gelu",
                projection_dim=32,
                eos_token_id=2,
                bos_token_id=0,
                pad_token_id=1,
            )
        ),
        tokenizer=clip_words,
        text_encoder_2=T5EncoderModel(
            T5Config(
                vocab_size=len(t5_words),
                d_model=64,
                d_kv=16,
                d_ff=96,
                num_layers=text_layers,
                num_heads=4,
                feed_forward_proj="gated-gelu",
                use_cache=False,
            )
        ),
        tokenizer_2=t5_words,
        transformer=FluxTransformer2DModel(**TRANSFORMER | transformer),
    )
    for part in (
        pipeline.vae,
        pipeline.text_encoder,
        pipeline.text_encoder_2,
        pipeline.transformer,
    ):
        part.eval().requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def autoencoder() -> AutoencoderKL:
    """8× smaller in each direction, 16 channels, as FLUX.1's is."""
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=4,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.1159,
        scaling_factor=0.3611,
    )


def sentences() -> list[str]:
    rng = random.Random("kontext")
    return [draw_pair(rng).instruction for _ in range(300)]


def clip_tokenizer() -> CLIPTokenizer:
    """Byte pairs that end words with </w>; the end of the text has the largest id."""
    plain = CLIPTokenizer().backend_tokenizer
    made = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    made.normalizer = plain.normalizer
    made.pre_tokenizer = plain.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made.train_from_iterator(
        sentences(),
        trainers.BpeTrainer(
            vocab_size=500,
            end_of_word_suffix="</w>",
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    model = json.loads(made.to_str())["model"]
    vocabulary = dict.fromkeys([*model["vocab"], *(f"{byte}</w>" for byte in alphabet), START, END])
    return CLIPTokenizer(
        vocab={word: place for place, word in enumerate(vocabulary)},
        model_max_length=CLIP_LENGTH,
        merges=[tuple(pair) for pair in model["merges"]],
    )


def t5_tokenizer() -> T5TokenizerFast:
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = T5TokenizerFast().backend_tokenizer.pre_tokenizer
    made.train_from_iterator(
        sentences(),
        trainers.UnigramTrainer(
            vocab_size=200,
            special_tokens=["<pad>", "</s>", "<unk>"],
            unk_token="<unk>",
            show_progress=False,
        ),
    )
    model = json.loads(made.to_str())["model"]
    return T5TokenizerFast(
        vocab=[tuple(entry) for entry in model["vocab"]], extra_ids=2, model_max_length=T5_LENGTH
    )
