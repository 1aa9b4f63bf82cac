"""The wheel in an environment of its own: what it installs, and that its commands make a model
repository, serve it and edit an image, from an empty folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from processes import INTERRUPTIBLE
from retouch.api.version import VERSION
from retouch.launcher.server import HOST, ROOT

CHECKPOINT = ROOT / "checkpoints" / "photo"
SENTENCE = "make the red circle blue"
SOURCES = ("retouch", "clients", "export", "model_repository", "deploy")
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
ANY_PORTS = [text for name in ("http", "grpc", "metrics") for text in (f"--{name}-port", "0")]


def pip(*arguments):
    """pip without the network."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the sources, in which the build may leave what it likes."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "sources").mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.onnx*", "*.npz", "*.plan")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / "sources" / name, symlinks=True, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, folder / "sources")
    offline = ("--no-build-isolation", "--no-deps", "--no-index")
    pip("wheel", *offline, "--wheel-dir", str(folder), str(folder / "sources"))
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel):
    """An environment with the wheel; what it depends on is found in this one."""
    folder = wheel.parent / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    (site,) = folder.glob("lib/python*/site-packages")
    names = sorted(path.name for path in site.iterdir())
    paths = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "dependencies.pth").write_text("\n".join(paths) + "\n")
    return folder / "bin" / "retouch", site, names


@pytest.fixture(scope="module")
def run(installed):
    """The installed command, from an empty folder."""
    command, site, _ = installed
    empty = site.parents[3] / "empty"
    empty.mkdir()
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    environment["RETOUCH_RUNTIME"] = str(empty / "runtime")

    def start(*arguments, popen=subprocess.run, before=(), **options):
        return popen(
            [*before, command, *map(str, arguments)],
            cwd=empty,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )

    start.folder = empty
    return start


@pytest.fixture(scope="module")
def repository(run):
    """A model repository that the installed command has begun: its files, and one part that is
    really exported. The other artifacts are those of the checkout."""
    folder = run.folder / "models"
    done = run("export", CHECKPOINT, "--repository", folder, "--only", "connector")
    assert done.returncode == 0, done.stdout
    assert "exported and checked connector" in done.stdout
    for artifact in (ROOT / "model_repository").glob("*/1/*"):
        target = folder / artifact.relative_to(ROOT / "model_repository")
        is_template = artifact.suffix in (".py", ".pbtxt", ".gitkeep") or artifact.is_dir()
        if not is_template and "-" not in target.parts[-3] and target.parts[-3] != "connector":
            shutil.copy(artifact, target)
    return folder


@pytest.fixture(scope="module")
def served(run, repository):
    """The gRPC address of a server of that repository."""
    process = run(
        "serve",
        *ANY_PORTS,
        "--repository",
        repository,
        popen=subprocess.Popen,
        before=INTERRUPTIBLE,
    )
    output = ""
    try:
        for line in process.stdout:
            output += line
            if ready := re.search(r"^ready.*gRPC .*:([0-9]+)", line):
                yield f"{HOST}:{ready[1]}"
                break
        else:
            pytest.fail(output)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_it_brings_packages_of_ours_alone(installed):
    _, _, names = installed
    assert {name.split("-")[0] for name in names} == {
        "retouch",
        "retouch_clients",
        "retouch_export",
    }


def test_it_has_its_version_and_licence(installed, run):
    _, site, _ = installed
    assert run("--version").stdout.strip() == f"retouch, version {VERSION}"
    licence = site / f"retouch-{VERSION}.dist-info" / "licenses" / "LICENSE"
    assert licence.read_text() == (ROOT / "LICENSE").read_text()


def test_every_package_of_the_sources_is_in_it(installed):
    """A folder without __init__.py would be left out."""
    _, site, _ = installed
    for parent in ("", "clients", "export"):
        for source in (ROOT / parent).glob("retouch*/**/*.py"):
            assert (site / source.relative_to(ROOT / parent)).is_file(), source


def test_a_repository_has_the_files_that_the_checkout_has(repository):
    original = ROOT / "model_repository"
    files = [
        path.relative_to(original)
        for pattern in ("*/config.pbtxt", "*/configs/*.pbtxt", "*/1/model.py")
        for path in original.glob(pattern)
        if "-" not in path.relative_to(original).parts[0]
    ]
    assert len(files) > 20 and (repository / "edit_ensemble" / "1").is_dir()
    for name in files:
        assert (repository / name).read_bytes() == (original / name).read_bytes()


def test_it_edits_inspects_and_measures(run, served):
    done = run("edit", CHECKPOINT / "shapes.png", SENTENCE, "-o", "blue.png", "--url", served)
    assert done.returncode == 0, done.stdout
    with Image.open(run.folder / "blue.png") as picture:
        assert picture.size == (128, 128)
    (run.folder / "photos").mkdir()
    shutil.copy(CHECKPOINT / "shapes.png", run.folder / "photos")
    done = run("batch", "photos", SENTENCE, "-o", "out", "--url", served)
    assert done.returncode == 0 and list((run.folder / "out").glob("*.png")), done.stdout
    options = ("--count", "1", "--warm-up", "1", "--concurrency", "1", "--json", "bench.json")
    done = run("bench", *options, "--url", served)
    assert done.returncode == 0, done.stdout
    assert json.loads((run.folder / "bench.json").read_text())["rows"][0]["answered"] == 1
    assert run("inspect", CHECKPOINT).returncode == 0


def test_nothing_is_written_beside_the_packages(installed, run, served):
    """The runtime folder of a checkout lies in it; an installed package has no such folder."""
    _, site, names = installed
    left = {path.name for path in site.iterdir()} - {*names, "dependencies.pth", "__pycache__"}
    assert not left
    code = "from retouch.launcher.paths import runtime_folder; print(runtime_folder())"
    python = Path(site.parents[2], "bin", "python")
    done = subprocess.run([python, "-c", code], cwd=run.folder, capture_output=True, text=True)
    assert not Path(done.stdout.strip()).is_relative_to(site), done.stderr
