"""The API error for a failure; 503 if no server is ready."""

from __future__ import annotations

from retouch.api.errors import RequestError
from retouch_clients.openai_api.edit_job import Client
from retouch_clients.openai_api.errors import ApiError, absent, of_failure


async def refusal(failure: RequestError | ApiError, client: Client) -> ApiError:
    if isinstance(failure, ApiError):
        return failure
    if failure.code == "UNAVAILABLE" and not await client.ready():
        return absent()
    return of_failure(failure)
