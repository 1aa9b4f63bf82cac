"""What `make` does before a command, and that what it installs in one environment fits together."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from retouch.launcher.server import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SERVING = ("demo", "edit", "serve", "openai", "web", "profile", "bench")
STRICT = ("export", "eval", "test-gpu", "overhead")  # of what is shipped, or what is named
PINS = (
    "requirements.txt",
    "requirements-web.txt",
    "requirements-test.txt",
    "requirements-bench.txt",
    "requirements-dev.txt",
)


@pytest.fixture
def checkout(tmp_path):
    """One in which everything was installed and exported once."""
    for path in (*ROOT.glob("requirements*.txt"), ROOT / "Makefile", ROOT / "pyproject.toml"):
        shutil.copy(path, tmp_path)
    for name in (".venv/.setup", ".venv/.web", ".venv/.lpips", ".venv-aiperf/.setup"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def dry(checkout, *arguments):
    """The commands that `make` would run."""
    return subprocess.run(
        ["make", "-n", *arguments], cwd=checkout, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("target", SERVING + STRICT)
def test_what_is_served_is_exported_again_where_it_has_changed(checkout, target):
    """Only the export itself knows all that artifacts are made of, so it is asked each time."""
    commands = dry(checkout, target, "CHECKPOINT=other")
    assert (
        "retouch export other --precision bf16,fp8,fp4" in commands
        and "--keep" not in commands
        and "pip install" not in commands
    )


@pytest.mark.parametrize("target", SERVING + STRICT)
def test_the_export_of_another_checkpoint_is_served_as_it_is(checkout, target):
    """`retouch export FOLDER` and `make serve` are how people come to serve their own."""
    commands = dry(checkout, target)
    assert ("retouch export checkpoints/photo --precision bf16,fp8,fp4 --keep" in commands) == (
        target in SERVING
    )


def test_make_edit_takes_a_photo_and_names_the_result(checkout):
    asked = "IMAGE=my photo.JPG", "INSTRUCTION=make it warmer", "OUT=warm photo.jpg"
    command = 'retouch edit --start "my photo.JPG" "make it warmer" -o "warm photo.jpg" --force'
    assert command in dry(checkout, "edit", *asked)


def test_make_opponents_installs_what_benchmarks_are_measured_against(checkout):
    assert "--requirement requirements-bench.txt" in dry(checkout, "opponents")


def test_make_eval_writes_its_figures_and_pictures(checkout):
    commands = dry(checkout, "eval", "EVAL=--photos 0")
    (line,) = [line for line in commands.splitlines() if "training.evaluate" in line]
    for option in (
        "--json out/eval.json",
        "--worst out/worst.png",
        "--sheet out/held-out.jpg",
        "--reliability out/reliability.svg",
        "--photos 0",
    ):
        assert option in line


def pins(name):
    """Versions of this Python by package, of a lock file that `make lock` has written."""
    return {
        canonicalize_name(requirement.name): str(next(iter(requirement.specifier)).version)
        for line in (ROOT / name).read_text().splitlines()
        if "==" in line and not line.startswith("#")
        for requirement in [Requirement(line.split(" \\")[0])]
        if requirement.marker is None or requirement.marker.evaluate()
    }


def listed(key):
    """The requirements of a list in pyproject.toml, `dependencies`, an extra or a group, for this
    Python."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = document["project"]
    lists = project | project["optional-dependencies"] | document["dependency-groups"]
    requirements = map(Requirement, lists[key])
    return [one for one in requirements if one.marker is None or one.marker.evaluate()]


def test_what_goes_into_one_environment_has_the_same_pins():
    pinned = {}
    for name in PINS:
        for package, version in pins(name).items():
            assert pinned.setdefault(package, version) == version, f"{package} in {name}"


@pytest.mark.parametrize(
    "name, keys",
    [
        ("requirements.txt", ("dependencies", "serve", "export", "torch", "test")),
        ("requirements-web.txt", ("dependencies", "openai", "web")),
        ("requirements-test.txt", ("heic", "interop", "test", "web")),
        ("requirements-bench.txt", ("bench",)),
        ("requirements-dev.txt", ("dev",)),
        ("requirements-eval.txt", ("eval",)),
    ],
)
def test_locks_hold_what_pyproject_asks_for(name, keys):
    """`make lock` writes them again."""
    pinned = pins(name)
    for key in keys:
        assert listed(key)
        for requirement in listed(key):
            version = pinned.get(canonicalize_name(requirement.name))
            assert version and requirement.specifier.contains(version), f"{requirement} in {name}"


def test_no_lock_names_an_index():
    for path in ROOT.glob("requirements*.txt"):
        assert not re.search("https?://|index-url", path.read_text()), path.name
