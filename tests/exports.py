"""`retouch export` as a user calls it, in this process."""

from __future__ import annotations

from click.testing import CliRunner

from export.command import export


def exported(*arguments: object) -> str:
    """What a successful export printed."""
    done = _run(arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments: object) -> str:
    """The one line that a failed export printed."""
    done = _run(arguments)
    assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1, done.output
    return done.stderr


def _run(arguments: tuple[object, ...]):
    return CliRunner().invoke(export, [str(each) for each in arguments], catch_exceptions=False)
