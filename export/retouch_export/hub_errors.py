"""Failures of the Hugging Face Hub as one sentence with the next step."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import cast

from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from retouch_export.checkpoint_files import CheckpointError
from retouch_export.hub_name import HubName

# HTTPError of httpx, and of httpx2 from release 2 of huggingface_hub
TRANSPORT_ERROR = cast("type[Exception]", HfHubHTTPError.__bases__[0])
UNAUTHORIZED = 401
SERVER_ERRORS = 500
LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


@contextlib.contextmanager
def explained(name: HubName) -> Iterator[None]:
    """Raise CheckpointError in place of every failure of the hub, the network or the disk."""
    try:
        yield
    except (TRANSPORT_ERROR, OSError) as failure:
        raise CheckpointError(sentence(failure, name)) from failure


def is_unreachable(failure: BaseException) -> bool:
    """Whether there was no answer, or the hub is down: no network, no server, or offline mode."""
    if isinstance(failure, HfHubHTTPError):
        return failure.response.status_code >= SERVER_ERRORS
    return isinstance(failure, (OfflineModeIsEnabled, TRANSPORT_ERROR))


def sentence(failure: BaseException, name: HubName) -> str:
    """What failed, and what to do about it."""
    if isinstance(failure, LocalEntryNotFoundError) and failure.__cause__:
        return sentence(failure.__cause__, name)
    if isinstance(failure, GatedRepoError):
        return _gated(name)
    if isinstance(failure, RepositoryNotFoundError):
        return _missing(name)
    if isinstance(failure, RevisionNotFoundError):
        return (
            f"{name.repository} has no revision {name.revision}; its branches and tags are at "
            f"{_page(name)}/tree/main"
        )
    if isinstance(failure, OfflineModeIsEnabled):
        return (
            f"there is no folder {name}, and the hub's cache {constants.HF_HUB_CACHE} lacks it; "
            "unset HF_HUB_OFFLINE to download it"
        )
    if isinstance(failure, EntryNotFoundError):
        return (
            f"{name} has no model_index.json; "
            "name a repository that is a whole pipeline in diffusers' layout"
        )
    if isinstance(failure, HfHubHTTPError):
        return _answered(failure, name)
    if is_unreachable(failure):
        return (
            f"there is no folder {name}, and the hub {constants.ENDPOINT} cannot be reached "
            f"({failure or type(failure).__name__}); check the network and run the command again"
        )
    if isinstance(failure, OSError) and failure.errno == errno.ENOSPC:
        return (
            f"the disk of {constants.HF_HUB_CACHE} is full; free some of it, or set HF_HOME to a "
            "folder on a larger disk, and run the command again"
        )
    return f"{name} cannot be downloaded: {failure}"


def _gated(name: HubName) -> str:
    log_in = "the token's account" if get_token() else f"your account, then {LOG_IN}"
    return f"{name.repository} is gated; accept its licence at {_page(name)} with {log_in}"


def _missing(name: HubName) -> str:
    """The hub answers alike where a repository is missing or private."""
    next_step = (
        "check the name, and that the token's account may read it"
        if get_token()
        else f"check the name, and {LOG_IN} if it is private"
    )
    return (
        f"there is no folder {name}, and the hub has no repository {name.repository} "
        f"or it is private; {next_step}"
    )


def _answered(failure: HfHubHTTPError, name: HubName) -> str:
    status = failure.response.status_code
    if status == UNAUTHORIZED:
        return f"the hub refuses the token; {LOG_IN} anew"
    return f"the hub answered {status} for {name}; run the command again later"


def _page(name: HubName) -> str:
    return f"{constants.ENDPOINT}/{name.repository}"
