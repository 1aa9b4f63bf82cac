"""The PARAMS tensor of a denoiser, and the DenoiseRequest of its tensors."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

from retouch.api.adapters import parse_adapters
from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.families.denoise_request import Arrays, DenoiseRequest

EDIT = "edit"
PREFILL = "prefill"  # cache the source image's keys and values ahead of the edit
DESCRIBE = "describe"  # answer with the lane's defaults alone, in INFO

REQUIRED = ("LATENTS", "PROMPT_EMBEDS", "CELLS")  # tensors of an edit


@dataclass(frozen=True)
class DenoiseParams:
    """The action and the numbers of an edit, with EditRequest's names.

    An edit with a `request_id` can be cancelled. `deadline_ms` is the time left, 0 without a
    deadline. `reference_shapes` are the shapes [C, h, w] of the reference images' latents, and
    `target_shape` that of the result's if it has another size than the source."""

    action: str = EDIT
    request_id: str = ""
    seed: int = 0
    steps: int = 0
    guidance: float = 0.0
    previews: int = 0
    step_cache: float = 0.0
    find_region: bool = False
    region_cache: int = 0
    priority: int = 0
    deadline_ms: int = 0
    true_cfg: float = 1.0
    adapter: str = ""
    reference_shapes: tuple[tuple[int, ...], ...] = ()
    target_shape: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        request: EditRequest,
        deadline_ms: int = 0,
        true_cfg: float = 1.0,
        references: Sequence[np.ndarray] = (),
        target_shape: tuple[int, ...] = (),
    ) -> DenoiseParams:
        """The params of a request, with the latents [C, h, w] of its reference images."""
        return cls(
            seed=request.seed,
            steps=request.steps,
            guidance=request.guidance,
            previews=request.previews,
            step_cache=request.step_cache,
            find_region=request.finds_region,
            region_cache=request.region_cache,
            priority=request.priority,
            deadline_ms=deadline_ms,
            true_cfg=true_cfg,
            adapter=request.adapter,
            reference_shapes=tuple(latents.shape for latents in references),
            target_shape=target_shape,
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> DenoiseParams:
        """RequestError for anything else."""
        try:
            values = json.loads(text)
            shapes = tuple(map(tuple, values.get("reference_shapes", ())))
            target = tuple(values.get("target_shape", ()))
            params = cls(**values | {"reference_shapes": shapes, "target_shape": target})
            if params.action not in (EDIT, PREFILL, DESCRIBE):
                raise ValueError(params.action)
            return params
        except (ValueError, TypeError, AttributeError):
            names = ", ".join(field.name for field in fields(cls))
            raise RequestError(
                f"PARAMS must be a JSON object with some of {names}", field="PARAMS"
            ) from None

    def denoise_request(self, tensors: Arrays) -> DenoiseRequest:
        """The request of a denoiser's tensors, without a batch dimension. An empty tensor counts as
        absent. RequestError when a required one is absent."""
        tensors = {name: tensor for name, tensor in tensors.items() if tensor.size}
        for name in REQUIRED:
            if name not in tensors:
                raise RequestError(
                    f"{name} is missing; an edit needs {', '.join(REQUIRED)}", field=name
                )
        prompt = _named(
            tensors,
            prompt_embeds="PROMPT_EMBEDS",
            pooled_prompt_embeds="PROMPT_EMBEDS_POOLED",
            boxes="BOXES",
        )
        negative = _named(
            tensors,
            prompt_embeds="NEGATIVE_EMBEDS",
            pooled_prompt_embeds="NEGATIVE_EMBEDS_POOLED",
        )
        return DenoiseRequest(
            tensors["LATENTS"],
            prompt,
            tensors["CELLS"],
            seed=self.seed,
            steps=self.steps,
            guidance=self.guidance,
            previews=self.previews,
            step_cache=self.step_cache,
            find_region=self.find_region,
            region_cache=self.region_cache,
            extra_references=self.unflatten(
                tensors.get("REFERENCE_LATENTS", np.zeros(0, np.float32))
            ),
            negative=negative or None,
            true_cfg=self.true_cfg,
            target_shape=self.target_shape,
            adapters=parse_adapters(self.adapter),
        )

    def unflatten(self, flat: np.ndarray) -> tuple[np.ndarray, ...]:
        """The latents [C, h, w] of reference images from one array [-1], as `flatten` makes it;
        RequestError when its length differs from `reference_shapes`."""
        sizes = [math.prod(shape) for shape in self.reference_shapes]
        if sum(sizes) != len(flat):
            raise RequestError(
                f"REFERENCE_LATENTS holds {len(flat)} numbers; "
                f"the shapes in PARAMS say {sum(sizes)}",
                field="REFERENCE_LATENTS",
            )
        parts = np.split(flat, np.cumsum(sizes[:-1])) if sizes else []
        return tuple(part.reshape(shape) for part, shape in zip(parts, self.reference_shapes))


def flatten(references: Sequence[np.ndarray]) -> np.ndarray:
    """The latents of reference images as one array float32 [-1]: a tensor has one shape."""
    return np.concatenate([np.zeros(0, np.float32), *(latents.ravel() for latents in references)])


def _named(tensors: Arrays, **names: str) -> Arrays:
    """The tensors that are there, under other names."""
    return {name: tensors[tensor] for name, tensor in names.items() if tensor in tensors}
