"""API keys: who may edit."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from fastapi.security import HTTPAuthorizationCredentials

from retouch.util import env
from retouch_clients.openai_api.errors import ApiError

ENVIRONMENT = env.API_KEYS.name


@dataclass(frozen=True)
class Keys:
    """Without any, everybody may."""

    keys: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, keys: Iterable[str]) -> Keys:
        return cls(tuple(key.strip().encode() for key in keys if key.strip()))

    @classmethod
    def from_environment(cls) -> Keys:
        return cls.of(env.API_KEYS.get().split(","))

    def check(self, given: HTTPAuthorizationCredentials | None) -> None:
        """ApiError 401 when they are none of these. How long it takes tells nothing of them."""
        if not self.keys:
            return
        if given is None:
            raise _refused("You didn't provide an API key; send it as 'Authorization: Bearer KEY'.")
        key = given.credentials.encode()
        if not sum(hmac.compare_digest(key, each) for each in self.keys):
            raise _refused("Incorrect API key provided.")


def _refused(message: str) -> ApiError:
    return ApiError(401, message, "invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
