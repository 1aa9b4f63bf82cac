"""Commands whose packages are not installed."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from retouch.util import extras
from retouch_clients.command import retouch


@pytest.mark.parametrize(
    "extra, arguments",
    [
        ("web", ["web"]),
        ("openai", ["openai"]),
        ("serve", ["serve"]),
        ("export", ["export", "checkpoints/photo"]),
    ],
)
def test_a_command_names_the_extra_that_it_lacks(monkeypatch, extra, arguments):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    done = CliRunner().invoke(retouch, arguments)
    assert done.exit_code == 1
    expected = f"{extras.MODULES[extra][0]} is not installed; run pip install 'retouch[{extra}]'"
    assert expected in done.stderr


def test_what_is_installed_is_not_asked_for():
    assert extras.missing("serve") == []
    extras.check("serve")
