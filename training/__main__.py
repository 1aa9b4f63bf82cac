"""Train `checkpoints/photo` from a seed: `python -m training`. Run it again to resume a stopped
stage."""

import argparse
import time
from pathlib import Path

import torch

from training import (
    calibration,
    checkpoint,
    joint,
    parser,
    text,
    tokenizer,
    transformer,
    vae,
)
from training.readings import read
from training.start import Start

STAGES = ("parser", "transformer")


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument(
        "--work", type=Path, default=Path(".runtime/training"), help="states of the stages"
    )
    cli.add_argument("--out", type=Path, default=Path("checkpoints/photo"))
    cli.add_argument("--seed", type=int, default=0)
    cli.add_argument("--start", type=Path, help="go on from the networks of this checkpoint")
    cli.add_argument(
        "--stage",
        choices=STAGES,
        help="stop after this stage; transformer does not need the parser, so that two processes "
        "can run at once",
    )
    cli.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = cli.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    start = Start(arguments.start) if arguments.start else None
    make(arguments.work, arguments.out, arguments.seed, start, arguments.stage)


def make(
    work: Path, out: Path, seed: int, start: Start | None = None, last: str | None = None
) -> None:
    """All stages, or those up to `last`, which needs a checkpoint's tokenizer or that of an earlier
    run."""
    if not (work / "tokenizer.json").exists():
        if start:
            start.write_tokenizer(work / "tokenizer.json")
        else:
            tokenizer.run(work, seed)
    if last == "transformer":
        transformer.run(work, start, seed, _log("transformer"))
        return
    autoencoder = start.autoencoder if start else vae.run(work, seed, _log("autoencoder"))
    networks = text.run(work, start, seed, _log("text"))
    parser.run(work, networks, seed, _log("parser"))
    if last == "parser":
        return
    model, teacher = transformer.run(work, start, seed, _log("transformer"))
    readings = read(work, networks, joint.READINGS, seed, _log("readings"))
    connector = joint.connect(work, readings, teacher, start, seed, _log("connector"))
    joint.adapt(work, readings, connector, model, seed, _log("adapt"))
    joint.join(work, networks, connector, model, seed, _log("joint"))
    calibration.run(work, networks, seed, _log("calibration"))
    checkpoint.write(out, work, autoencoder, networks, connector, model, teacher)


def _log(stage: str):
    return lambda text: print(f"{time.strftime('%H:%M:%S')} {stage}: {text}", flush=True)


if __name__ == "__main__":
    main()
