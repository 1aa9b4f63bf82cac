"""GET /v1/models: the loaded lanes as models, with their defaults, and the aliases of the default
model."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from retouch.api.errors import RequestError
from retouch_clients.openai_api import lanes, schema

router = APIRouter(prefix="/v1/models")


class Model(BaseModel):
    """`defaults` are a lane's steps, guidance, true_cfg and sigmas of an edit that names none."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "retouch"
    defaults: dict[str, Any] | None = None


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


@router.get(
    "",
    summary="List the loaded lanes",
    responses=schema.errors(401, 403, 429, 500, 503),
    response_model_exclude_none=True,
)
async def list_models(request: Request) -> ModelList:
    loaded = await request.app.state.client.lanes()
    names = lanes.names(loaded, request.app.state.aliases)
    return ModelList(data=list(await asyncio.gather(*(_model(request, name) for name in names))))


@router.get(
    "/{model}",
    summary="One model",
    responses=schema.errors(401, 403, 404, 429, 500, 503),
    response_model_exclude_none=True,
)
async def get_model(request: Request, model: str) -> Model:
    loaded = await request.app.state.client.lanes()
    aliases = request.app.state.aliases
    if model not in lanes.names(loaded, aliases):
        raise lanes.unknown(model, loaded, aliases)
    return await _model(request, model)


async def _model(request: Request, name: str) -> Model:
    """A model without defaults where the server chooses the lane, or the lane does not answer."""
    state = request.app.state
    defaults = None
    if not lanes.is_default(name, state.aliases):
        with contextlib.suppress(RequestError):  # an older server, or a lane that is loading
            defaults = await state.client.defaults(name.removeprefix(f"{lanes.MODEL}-"))
    return Model(id=name, created=state.since, defaults=defaults)
