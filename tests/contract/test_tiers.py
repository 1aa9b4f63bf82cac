"""The lists of quick and slow test files name files that exist."""

from __future__ import annotations

import re

import pytest

from retouch.launcher.server import ROOT
from tiers import FAST_FILES, OWN_SERVERS, SLOW_FILES, TIERS, markers, shares_server


@pytest.mark.parametrize("name", [*FAST_FILES, *SLOW_FILES])
def test_a_listed_file_exists(name):
    assert (ROOT / "tests" / name).is_file()


@pytest.mark.parametrize("name", OWN_SERVERS)
def test_a_file_with_servers_of_its_own_leaves_the_shared_one_alone(name):
    path = ROOT / "tests" / "server" / name
    signatures = re.findall(r"^def \w+\((.*?)\)", path.read_text(), re.M | re.S)
    names = {
        argument.partition(":")[0].strip() for text in signatures for argument in text.split(",")
    }
    assert not shares_server(path) and "server" not in names


def test_every_folder_of_tests_is_a_tier():
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders == set(TIERS)


def test_tests_have_the_marker_of_their_folder(request):
    assert {marker.name for marker in request.node.iter_markers()} >= {"contract", "fast"}
    assert markers(ROOT / "tests" / SLOW_FILES[0]) == ["unit"]
