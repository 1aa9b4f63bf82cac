"""No connector: the prompt embeds are the transformer's conditioning already."""

from __future__ import annotations

from retouch_export.parts import Part

PART = Part()
