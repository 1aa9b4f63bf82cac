"""Make `checkpoints/shapes` from a seed: `python -m training`. Every stage resumes where it was
stopped."""

import argparse
import time
from pathlib import Path

import torch

from training import checkpoint, joint, parser, tokenizer, transformer, vae


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--work", type=Path, default=Path(".runtime/training"), help="states of the stages"
    )
    options.add_argument("--out", type=Path, default=Path("checkpoints/shapes"))
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    chosen.work.mkdir(parents=True, exist_ok=True)
    make(chosen.work, chosen.out, chosen.seed)


def make(work: Path, out: Path, seed: int) -> None:
    if not (work / "tokenizer.json").exists():
        tokenizer.run(work, seed)
    autoencoder = vae.run(work, seed, _say("autoencoder"))
    networks = parser.run(work, seed, _say("parser"))
    model, teacher = transformer.run(work, seed, _say("transformer"))
    connector = joint.connect(work, networks, teacher, seed, _say("connector"))
    joint.join(work, networks, connector, model, seed, _say("joint"))
    checkpoint.write(out, work, autoencoder, networks, connector, model)


def _say(stage: str):
    return lambda text: print(f"{time.strftime('%H:%M:%S')} {stage}: {text}", flush=True)


if __name__ == "__main__":
    main()
