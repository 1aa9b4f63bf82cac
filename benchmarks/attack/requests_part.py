"""Thousands of hostile requests at each endpoint, and wild tensors at the stages behind them."""

from __future__ import annotations

import json
import random
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rich.progress import track

from benchmarks.attack.edit_requests import edit_inputs
from benchmarks.attack.http_requests import http_request
from benchmarks.attack.openai_requests import PATH, openai_request
from benchmarks.attack.outcomes import BAD, HUNG, Outcomes
from benchmarks.attack.senders import Verdict, send_grpc, send_http, timed
from benchmarks.attack.stage_tensors import stage_inputs
from retouch.launcher.server import HOST, Server

SENDERS = 4
ENDPOINTS = ("edit", "edit_sync", "edit_ensemble")
STAGES = ("preprocess", "vl_parser", "vae_encoder", "connector", "denoiser_bf16", "vae_decoder")


def attack(
    part: str,
    count: int,
    send: Callable[[random.Random], Verdict],
    bad: tuple[str, ...] = BAD,
) -> Outcomes:
    """`count` requests, each made from a generator seeded with its number, by SENDERS threads."""
    outcomes = Outcomes(part, bad=bad)

    def one(number: int) -> None:
        verdict = timed(lambda: send(random.Random(f"{part}{number}")))
        outcomes.add(verdict.outcome, f"{number}: {verdict.detail}", verdict.seconds)

    with ThreadPoolExecutor(SENDERS) as pool:
        for _ in track(pool.map(one, range(count)), part, total=count, transient=True):
            pass
    return outcomes


def attack_endpoint(server: Server, model: str, count: int) -> Outcomes:
    """Half of the requests over gRPC, half over HTTP."""

    def send(rng: random.Random) -> Verdict:
        if rng.random() < 0.5:
            return send_grpc(server.grpc, model, edit_inputs(rng))
        path, body = http_request(rng, model)
        return send_http(server.http, path, {"Content-Type": "application/json"}, body)

    return attack(model, count, send)


def attack_openai(port: int, count: int) -> Outcomes:
    def send(rng: random.Random) -> Verdict:
        headers, body = openai_request(rng)
        return send_http(port, PATH, headers, body)

    return attack("openai", count, send)


def attack_stages(server: Server, count: int) -> Outcomes:
    """Clients do not call stages: an internal error counts as an answer here, a dead process does
    not."""
    configs = {stage: _config(server, stage) for stage in STAGES}

    def send(rng: random.Random) -> Verdict:
        stage = rng.choice(STAGES)
        return send_grpc(server.grpc, stage, stage_inputs(rng, configs[stage]))

    return attack("stages", count, send, bad=(HUNG,))


def _config(server: Server, model: str) -> dict:
    url = f"http://{HOST}:{server.http}/v2/models/{model}/config"
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)
