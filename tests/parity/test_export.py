"""The export as a command: resumable, and no torch to find out that nothing is to do."""

import subprocess
import sys

from export.__main__ import main
from export.parts import PARTS


def test_second_run_does_nothing_and_loads_no_torch(folder, repository):
    before = {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    code = ("import sys; from export.__main__ import main; assert main(sys.argv[1:]) == 0; "
            "assert not {'torch', 'onnxruntime', 'transformers'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code, str(folder), "--repository", str(repository)], check=True)
    assert {path: path.stat().st_mtime_ns for path in repository.rglob("*")} == before


def test_a_damaged_part_is_made_again(folder, repository):
    connector = repository / "connector" / "1" / "model.onnx"
    whole = connector.read_bytes()
    connector.write_bytes(whole[: len(whole) // 2])
    assert main([str(folder), "--repository", str(repository)]) == 0
    assert connector.stat().st_size == len(whole)
    assert not list(repository.glob("*/.partial"))


def test_folders_of_the_model_repository(repository):
    assert {path.name for path in repository.iterdir()} == {
        "vl_parser", "connector", "vae_encoder", "vae_decoder", "denoiser_bf16"}
    assert len(PARTS) == 5


def test_what_is_no_checkpoint_is_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path), "--repository", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "model_index.json" in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()
