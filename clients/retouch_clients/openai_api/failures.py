"""What a failure is to a client of this API, which depends on whether there is a server at all."""

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
