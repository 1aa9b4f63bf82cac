"""What a server is started with: which models, by which configs."""

from __future__ import annotations

import pytest

from retouch.launcher.server import Server, ServerError, models, profiles


@pytest.fixture()
def repository(tmp_path):
    """A door and three lanes; fp4 has no profile `hopper`, and int8 is not exported."""
    for name in ("edit", "denoiser_bf16", "denoiser_fp4", "denoiser_int8"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "configs").mkdir()
        (tmp_path / name / "config.pbtxt").touch()
    for lane, names in (("bf16", ("cpu", "hopper")), ("fp4", ("cpu",))):
        (tmp_path / f"denoiser_{lane}" / "1" / "manifest.json").touch()
        for name in names:
            (tmp_path / f"denoiser_{lane}" / "configs" / f"{name}.pbtxt").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("profile", "lanes"),
    [
        ("", ["denoiser_bf16", "denoiser_fp4"]),
        ("cpu", ["denoiser_bf16", "denoiser_fp4"]),
        ("hopper", ["denoiser_bf16"]),
    ],
)
def test_lanes_that_are_exported_and_for_this_machine_are_loaded(repository, profile, lanes):
    assert models(repository, profile) == [*lanes, "edit"]


def test_an_evaluator_is_loaded_with_all_of_its_files(repository):
    folder = repository / "evaluator" / "1"
    folder.mkdir(parents=True)
    (folder.parent / "config.pbtxt").touch()
    for name in ("manifest.json", "model.onnx"):
        assert "evaluator" not in models(repository)
        (folder / name).touch()
    assert "evaluator" in models(repository)


def test_triton_is_told_the_profile(repository):
    server = Server(repository, profile="hopper")
    assert "--model-config-name=hopper" in server.arguments(repository) and server.names == [
        "denoiser_bf16",
        "edit",
    ]
    assert not any(
        argument.startswith("--model-config-name")
        for argument in Server(repository).arguments(repository)
    )


def test_an_unknown_profile_is_refused_by_name(repository):
    assert profiles(repository) == ["cpu", "hopper"]
    with pytest.raises(ServerError, match="no profile ampere; there are cpu, hopper"):
        Server(repository, profile="ampere").check()


def test_boards_lie_where_shared_memory_is_removed():
    server = Server()
    assert server.boards.startswith(f"/dev/shm/{server.shm_prefix}")


class Failing(Server):
    """Ends with these words while it starts, the last for good."""

    def __init__(self, log, *arguments):
        super().__init__(log=log)
        self.lines = list(arguments)
        self.starts = 0

    def start(self):
        self.starts += 1
        if self.lines:
            with self.log.open("a") as log:
                log.write(f"{self.lines[0]}\n")

    def wait_ready(self, seconds=1.0):
        if self.lines:
            raise ServerError(self.lines.pop(0))


CRASH = "Fatal Python error: Bus error"


def test_a_start_that_native_code_has_ended_is_tried_once_more(tmp_path):
    log = tmp_path / "server.log"
    log.write_text("of a run before")
    with Failing(log, CRASH) as server:
        assert server.starts == 2 and log.read_text() == f"{CRASH}\n", "what happened can be read"
    with pytest.raises(ServerError, match="Bus error"):
        Failing(log, CRASH, CRASH).__enter__()


def test_a_server_that_cannot_start_is_not_tried_again(tmp_path):
    (tmp_path / "server.log").write_text(CRASH)
    server = Failing(tmp_path / "server.log", "Failed to load a model", "")
    with pytest.raises(ServerError, match="Failed to load"):
        server.__enter__()
    assert server.starts == 1
