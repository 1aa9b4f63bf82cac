"""InstructX's passes around the transformer as modules: the parser's vision tower, its language
model with meta-queries and heads, and the connector."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import Qwen2_5_VLModel

from retouch.networks.instructx import MetaQueries, ParserHeads
from retouch.networks.qwen_vl import encode_queries
from retouch.networks.qwen_vl_passes import Vision

# a region's threshold and a box's edge need more digits than bfloat16 has
WIDE = ("parser_heads",)


class Language(nn.Module):
    """Inputs of `encode_queries`, and `centres` [V, 2] → queries [B, Q, width] and the heads'
    outputs: labels, boxes, region and, where they have it, presence. All are float32, and the heads
    compute in their own type."""

    def __init__(
        self, model: Qwen2_5_VLModel, meta_queries: MetaQueries, parser_heads: ParserHeads
    ):
        super().__init__()
        self.model = model
        self.meta_queries = meta_queries
        self.parser_heads = parser_heads
        presence = ("presence",) if parser_heads.config["presence"] else ()
        self.outputs = ("queries", "labels", "boxes", "region", *presence)

    def forward(
        self,
        input_ids: Tensor,
        vision_tokens: Tensor,
        image_index: Tensor,
        query_index: Tensor,
        rope_cos: Tensor,
        rope_sin: Tensor,
        centres: Tensor,
    ) -> tuple[Tensor, ...]:
        queries, tokens = encode_queries(
            self.model,
            self.meta_queries,
            vision_tokens,
            input_ids,
            image_index,
            query_index,
            rope_cos,
            rope_sin,
        )
        kind = self.parser_heads.dtype
        outputs = self.parser_heads(queries.to(kind), tokens.to(kind), centres.to(kind))
        tensors = (queries, outputs.labels, outputs.boxes, outputs.region, outputs.presence)
        return tuple(tensor.float() for tensor in tensors if tensor is not None)


PASSES = {
    "vision": lambda networks, settings: Vision(networks["text_encoder"].model),
    "language": lambda networks, settings: Language(
        networks["text_encoder"].model, networks["meta_queries"], networks["parser_heads"]
    ),
}
