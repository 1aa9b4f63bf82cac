"""ONNX Runtime without its telemetry, which would leave a file behind. Other modules import it
from here."""

from __future__ import annotations

from retouch.util import env

env.disable_unless_set(env.ORT_TELEMETRY)  # read on import

import onnxruntime  # noqa: E402

__all__ = ["onnxruntime"]
