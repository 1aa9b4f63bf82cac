"""The model `denoiser` of FLUX.2 dev: FLUX.2 klein's graph with the scale of guidance."""

from __future__ import annotations

from typing import Any

from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.flux2_dev import GUIDANCE, STEPS
from retouch_export.flux2_klein import denoiser
from retouch_export.flux2_klein.denoiser import FOLDER


class Denoiser(denoiser.Denoiser):
    """The graph `step`, and the map for previews."""

    embeds_guidance = True

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """CheckpointError for a transformer without embedded guidance."""
        if not checkpoint.json(f"{FOLDER}/config.json").get("guidance_embeds", True):
            raise CheckpointError(
                "the transformer takes no guidance (guidance_embeds is false), as FLUX.2 dev's does"
            )
        return super().settings(checkpoint) | {
            "default_guidance": GUIDANCE,
            "default_steps": STEPS,
        }

    def is_distilled(self, checkpoint: Checkpoint) -> bool:
        """The pipeline takes no negative instruction."""
        return True


PART = Denoiser()
