"""docs/environment.md lists every environment variable, as retouch/util/env.py has it."""

from __future__ import annotations

import re

import pytest

from retouch.launcher.server import ROOT
from retouch.util import env

DOCUMENT = (ROOT / "docs" / "environment.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (.*) \| (.*) \|$", re.M)


@pytest.mark.parametrize("kind", env.Kind)
def test_the_table_is_that_of_the_code(kind):
    section = DOCUMENT.split(f"## {kind.name.capitalize()}")[1].split("\n## ")[0]
    rows = {name: (default, text) for name, default, text in ROW.findall(section)}
    assert rows == {
        variable.name: (f"`{variable.default}`" if variable.default else "", variable.help)
        for variable in env.VARIABLES
        if variable.kind is kind
    }


def test_names_are_used_once():
    names = [variable.name for variable in env.VARIABLES]
    assert len(names) == len(set(names)) == len(ROW.findall(DOCUMENT))


def test_every_variable_of_ours_in_the_sources_is_in_the_table():
    names = set()
    for folder in ("retouch", "clients", "export", "deploy"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".md", ".yml"):
                names |= set(re.findall(r"\bRETOUCH_[A-Z_]+\b", path.read_text()))
    assert names <= {variable.name for variable in env.VARIABLES}
