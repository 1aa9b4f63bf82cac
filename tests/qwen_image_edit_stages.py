"""Our stages of Qwen-Image-Edit beside diffusers' pipeline of the same checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from retouch.imaging.images import fit
from retouch.offline.text_encoder_loop import TextEncoderLoop

SENTENCE = "make the red circle blue"
NEGATIVE = " "


@dataclass
class Stages:
    """`pipeline` is diffusers', and both take the same options."""

    path: Path
    pipeline: object
    loop: TextEncoderLoop

    @property
    def text_encoder(self):
        return self.loop.text_encoder

    @property
    def denoiser(self):
        return self.loop.denoiser

    @property
    def family(self):
        return self.denoiser.family

    @property
    def several(self):
        return self.denoiser.settings["photos"] > 1

    def photos(self, sizes, seed=0):
        rng = np.random.default_rng(seed)
        return [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]

    def latents(self, photo):
        return self.loop.encoder.run(fit(photo, self.family.size(*photo.shape[:2]))[None])[0]

    def denoise_request(self, photos, sentence=SENTENCE, seed=0, steps=2, true_cfg=1.0):
        return self.loop.request(photos, sentence, seed, steps, 0.0, NEGATIVE, true_cfg)

    def final(self, **options):
        """Latents after a whole edit."""
        *_, last = self.denoiser.run(self.denoise_request(**options))
        return last.latents

    def theirs(
        self, photos, sentence=SENTENCE, seed=0, steps=2, true_cfg=1.0, output_type="latent"
    ):
        """What the pipeline answers: packed latents [N, D], or pixels [H, W, 3]."""
        height, width = self.family.size(*photos[0].shape[:2])
        return self.pipeline(
            image=self.pipeline_images(photos),
            prompt=sentence,
            negative_prompt=NEGATIVE if true_cfg > 1 else None,
            true_cfg_scale=true_cfg,
            height=height,
            width=width,
            num_inference_steps=steps,
            output_type=output_type,
            generator=torch.Generator().manual_seed(seed),
        ).images[0]

    def pipeline_images(self, photos):
        """Photos as the pipeline takes them."""
        images = [Image.fromarray(photo) for photo in photos]
        return images if self.several else images[0]

    def seen(self, photos):
        """Photos as the pipeline hands them to its text model."""
        pipeline = self.pipeline
        images = [Image.fromarray(photo) for photo in photos]
        module = __import__(type(pipeline).__module__, fromlist=["calculate_dimensions"])
        area = getattr(module, "CONDITION_IMAGE_SIZE", 0)
        sizes = [
            module.calculate_dimensions(area, image.width / image.height)[:2] for image in images
        ]
        resized = [
            pipeline.image_processor.resize(image, height, width)
            for image, (width, height) in zip(images, sizes)
        ]
        return resized if self.several else resized[0]
