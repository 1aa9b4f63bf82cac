"""GET /v1/models: the loaded lanes as models, and the aliases of the default model."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from retouch_clients.openai_api import lanes, schema

router = APIRouter(prefix="/v1/models")


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "retouch"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


@router.get("", summary="List the loaded lanes", responses=schema.errors(401, 403, 429, 500, 503))
async def list_models(request: Request) -> ModelList:
    loaded = await request.app.state.client.lanes()
    return ModelList(
        data=[_model(request, name) for name in lanes.names(loaded, request.app.state.aliases)]
    )


@router.get("/{model}", summary="One model", responses=schema.errors(401, 403, 404, 429, 500, 503))
async def get_model(request: Request, model: str) -> Model:
    loaded = await request.app.state.client.lanes()
    aliases = request.app.state.aliases
    if model not in lanes.names(loaded, aliases):
        raise lanes.unknown(model, loaded, aliases)
    return _model(request, model)


def _model(request: Request, name: str) -> Model:
    return Model(id=name, created=request.app.state.since)
