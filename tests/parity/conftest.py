"""One random checkpoint and its export for all parity tests."""

from pathlib import Path

import pytest
import torch

from exports import exported
from families_tiny import make_published
from retouch_export.checkpoint import Checkpoint


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return make_published("instructx", tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def checkpoint(folder) -> Checkpoint:
    return Checkpoint(folder)


@pytest.fixture(scope="session")
def repository(folder, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("repository")
    exported(folder, "--repository", path)
    return path


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
