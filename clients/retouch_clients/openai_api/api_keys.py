"""API keys of the clients that may send requests."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from fastapi.security import HTTPAuthorizationCredentials

from retouch.util import env
from retouch_clients.feedback.records import hash_of
from retouch_clients.openai_api.errors import ApiError

ENVIRONMENT = env.API_KEYS.name
OWNER = "retouch.owner"  # scope key: who has sent the request, as `Keys.owner_of`


@dataclass(frozen=True)
class Keys:
    """The accepted keys. Without keys, every request is accepted."""

    keys: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, keys: Iterable[str]) -> Keys:
        return cls(tuple(key.strip().encode() for key in keys if key.strip()))

    @classmethod
    def from_environment(cls) -> Keys:
        return cls.of(env.API_KEYS.get().split(","))

    def check(self, credentials: HTTPAuthorizationCredentials | None) -> None:
        """ApiError 401 unless the credentials have an accepted key, compared in constant time."""
        if not self.keys:
            return
        if credentials is None:
            raise _unauthorized(
                "You didn't provide an API key; send it as 'Authorization: Bearer KEY'."
            )
        key = credentials.credentials.encode()
        if not sum(hmac.compare_digest(key, accepted) for accepted in self.keys):
            raise _unauthorized("Incorrect API key provided.")

    def owner_of(self, credentials: HTTPAuthorizationCredentials | None) -> str:
        """The hash of an accepted key; "" where none is needed, as nobody vouches for it."""
        return hash_of(credentials.credentials) if self.keys and credentials else ""


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, message, "invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
