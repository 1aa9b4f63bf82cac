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


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument(
        "--work", type=Path, default=Path(".runtime/training"), help="states of the stages"
    )
    cli.add_argument("--out", type=Path, default=Path("checkpoints/photo"))
    cli.add_argument("--seed", type=int, default=0)
    cli.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = cli.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    make(arguments.work, arguments.out, arguments.seed)


def make(work: Path, out: Path, seed: int) -> None:
    if not (work / "tokenizer.json").exists():
        tokenizer.run(work, seed)
    autoencoder = vae.run(work, seed, _log("autoencoder"))
    networks = text.run(work, seed, _log("text"))
    parser.run(work, networks, seed, _log("parser"))
    model, teacher = transformer.run(work, seed, _log("transformer"))
    connector = joint.connect(work, networks, teacher, seed, _log("connector"))
    joint.join(work, networks, connector, model, seed, _log("joint"))
    calibration.run(work, networks, seed, _log("calibration"))
    checkpoint.write(out, work, autoencoder, networks, connector, model)


def _log(stage: str):
    return lambda text: print(f"{time.strftime('%H:%M:%S')} {stage}: {text}", flush=True)


if __name__ == "__main__":
    main()
