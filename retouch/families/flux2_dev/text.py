"""FLUX.2 dev's text encoder: a system message and a user's, as hidden states of a Mistral 3. It
does not see the photos."""

from __future__ import annotations

import numpy as np

from retouch.families.flux2_klein import text

IMAGE_TOKEN = "[IMG]"  # the pipeline takes it out of an instruction


class TextEncoder(text.TextEncoder):
    """The pipeline's chat template around an instruction, and the graph `text`."""

    def tokens(self, instruction: str) -> tuple[np.ndarray, np.ndarray]:
        return super().tokens(instruction.replace(IMAGE_TOKEN, ""))
