"""What a failure is to a client of this API, which depends on whether there is a server at all."""

from __future__ import annotations

from clients.openai_api.errors import ApiError, absent, of_failure
from clients.openai_api.job import Client
from retouch.types import RequestError


async def refusal(failure: RequestError | ApiError, client: Client) -> ApiError:
    if isinstance(failure, ApiError):
        return failure
    if failure.status == "UNAVAILABLE" and not await client.ready():
        return absent()
    return of_failure(failure)
