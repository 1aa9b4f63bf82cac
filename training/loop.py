"""A training loop that can be stopped at any time and resumed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from training.muon import optimizers


@dataclass(frozen=True)
class Plan:
    """The schedule of one stage."""

    steps: int
    rate: float  # peak learning rate
    warmup: int = 100
    decay_from: float = 0.5  # share of the steps after which the rate falls linearly to 2 %
    save_every: int = 250
    log_every: int = 50
    average: float = 0.0  # decay of the moving average of weights, 0 = none


def rate_at(plan: Plan, step: int) -> float:
    share = step / plan.steps
    fall = 1.0 if share < plan.decay_from else max(0.02, (1 - share) / (1 - plan.decay_from))
    return plan.rate * min(1.0, (step + 1) / plan.warmup) * fall


def train(
    module: nn.Module,
    plan: Plan,
    loss_of: Callable[[int], dict[str, torch.Tensor]],
    state: Path,
    say: Callable[[str], None] = print,
) -> None:
    """Minimise the sum of `loss_of(step)`, and leave the averaged weights in `module`.

    Training resumes from the file `state`, if there is one. Only parameters that require a gradient
    are trained and stored.
    """
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    both = optimizers(module)
    groups = [group for optimizer in both for group in optimizer.param_groups]
    step = 0
    average = {name: p.detach().clone() for name, p in trained.items()}
    if state.exists():
        saved = torch.load(state, weights_only=True)
        step = saved["step"]
        average = saved["average"]
        for optimizer, before in zip(both, saved["optimizers"]):
            optimizer.load_state_dict(before)
        groups = [group for optimizer in both for group in optimizer.param_groups]
        _assign(trained, saved["weights"])
        say(f"resumed at step {step}")
    started = time.time()
    first = step
    smooth = {}
    while step < plan.steps:
        for group in groups:
            group["lr"] = rate_at(plan, step)
        losses = loss_of(step)
        module.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(trained.values(), 1.0)
        for optimizer in both:
            optimizer.step()
        step += 1
        decay = min(plan.average, step / (step + 20)) if plan.average else 0.0
        for name, p in trained.items():
            average[name].lerp_(p.detach(), 1 - decay)
        for name, loss in losses.items():
            smooth[name] = 0.95 * smooth.get(name, loss.item()) + 0.05 * loss.item()
        if step % plan.log_every == 0:
            pace = (step - first) / (time.time() - started)
            say(
                f"{step}/{plan.steps} {pace:.2f} steps/s "
                + " ".join(f"{k} {v:.4f}" for k, v in smooth.items())
            )
        if step % plan.save_every == 0 or step == plan.steps:
            progress = {
                "step": step,
                "average": average,
                "weights": {name: p.detach() for name, p in trained.items()},
            }
            partial = state.with_suffix(".partial")
            states = [optimizer.state_dict() for optimizer in both]
            torch.save(progress | {"optimizers": states}, partial)
            partial.replace(state)
    _assign(trained, average)


@torch.no_grad()
def _assign(parameters: dict[str, nn.Parameter], values: dict[str, torch.Tensor]) -> None:
    for name, parameter in parameters.items():
        parameter.copy_(values[name])
