"""Every panel's query finds what the running server exposes: by its names and labels, and, where
Prometheus is installed, by its own answer."""

from __future__ import annotations

import json
import re
import shutil
import time
import urllib.parse
import urllib.request
from pathlib import Path

import httpx
import promql_parser
import pytest
import yaml

from benchmarks.openai_server import openai_server
from retouch.launcher.server import HOST, ROOT, free_port
from retouch_clients.monitor.processes import running
from retouch_clients.monitor.tools import Tool, prometheus

BOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "retouch.json").read_text())
QUERIES = [
    target["expr"].replace("$__rate_interval", "4s").replace("$lane", ".+")
    for panel in BOARD["panels"]
    if panel["type"] != "row"
    for target in panel["targets"]
    if Path("/dev/nvidiactl").exists() or not target["expr"].startswith("nv_gpu_")
]
RULES = [
    rule["expr"]
    for group in yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
    if not rule["expr"].startswith("up{")
]  # `up` is Prometheus' own
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? \S+$", re.M)


def selectors(expression):
    """Of every metric in a query: its name and labels' patterns."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield (
            expression.name,
            {
                matcher.name: (str(matcher.op), matcher.value)
                for matcher in expression.matchers.matchers
            },
        )
    for name in ("expr", "lhs", "rhs", "vector_selector", "args"):
        inner = getattr(expression, name, None)
        for part in inner if isinstance(inner, list) else [inner] if inner is not None else []:
            yield from selectors(part)


def matches(labels, patterns):
    values = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    return all(
        re.fullmatch(value, values.get(name, ""))
        if "Re" in op or "=~" in op
        else values.get(name) == value
        for name, (op, value) in patterns.items()
    )


@pytest.fixture(scope="module")
def door(server):
    """host:port of an OpenAI door."""
    with openai_server(f"{HOST}:{server.grpc}") as base:
        yield base.removeprefix("http://").removesuffix("/v1")


@pytest.fixture(scope="module")
def exposed(server, client, photo, door):
    """Samples after an edit by each lane, when the loops' numbers have been published, and one by
    the OpenAI door."""
    for lane in client.lanes():
        client.edit_one(photo, "make the red circle blue", steps=4, previews=2, precision=lane)
    edit_by(door, photo)
    time.sleep(1.5)
    return SAMPLE.findall(
        get(f"http://{HOST}:{server.metrics}/metrics") + get(f"http://{door}/metrics")
    )


def edit_by(door, photo):
    form = {
        "files": {"image": ("photo.png", photo)},
        "data": {"prompt": "make the red circle blue"},
    }
    assert httpx.post(f"http://{door}/v1/images/edits", timeout=60, **form).status_code == 200


def get(url):
    with urllib.request.urlopen(url, timeout=10) as page:
        return page.read().decode()


@pytest.mark.parametrize("query", [*QUERIES, *RULES])
def test_a_query_selects_what_is_exposed(exposed, query):
    metrics_of = list(selectors(promql_parser.parse(query)))
    assert metrics_of
    for name, labels in metrics_of:
        assert any(
            sample == name and matches(sample_labels, labels) for sample, sample_labels in exposed
        ), (
            name,
            labels,
        )


@pytest.fixture(scope="module")
def asked(server, client, photo, exposed, door, tmp_path_factory):
    """A real Prometheus that has read the servers a few times, with edits between."""
    if not shutil.which("prometheus"):
        pytest.skip("Prometheus is not on PATH (apt-get install prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    port = free_port()
    scrape = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())
    scrape["global"] = {"scrape_interval": "1s"}
    scrape["rule_files"] = [str(ROOT / "deploy" / "alerts.yml")]
    for job, target in zip(
        scrape["scrape_configs"], (f"{HOST}:{server.metrics}", door), strict=True
    ):
        job["static_configs"] = [{"targets": [target]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(scrape))
    tool = prometheus(port)
    command = [
        tool.command[0],
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{port}",
    ]
    with running([Tool("Prometheus", tool.page, command)]):
        end = time.monotonic() + 8
        while time.monotonic() < end:
            client.edit_one(photo, "make the red circle blue", steps=4, previews=2)
            edit_by(door, photo)
        yield lambda query: json.loads(
            get(f"http://{HOST}:{port}/api/v1/query?query={urllib.parse.quote(query)}")
        )


@pytest.mark.parametrize("query", QUERIES)
def test_prometheus_answers_it(asked, query):
    answer = asked(query)
    assert answer["status"] == "success" and answer["data"]["result"], query
