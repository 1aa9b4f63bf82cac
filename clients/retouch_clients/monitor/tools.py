"""Prometheus and Grafana beside a running server, on the loopback interface alone, until Ctrl-C."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from retouch.launcher.paths import IS_CHECKOUT
from retouch.launcher.server import HOST, ROOT, RUNTIME
from retouch.util import env

DEPLOY = ROOT / "deploy" if IS_CHECKOUT else Path(__file__).parent / "deploy"
GRAFANA_HOMES = ("/usr/share/grafana", "/opt/grafana")
ADVICE = (
    "Prometheus is not on PATH; `apt-get install prometheus` brings it, or, with docker, "
    "`docker compose -f deploy/monitor.yml up`"
)
NO_GRAFANA = (
    "Grafana is not on PATH: import deploy/grafana/dashboards/retouch.json into one of yours, or, with docker, "
    "`docker compose -f deploy/monitor.yml up`"
)
STOP_SECONDS = 10.0


class MonitorError(RuntimeError):
    """What is missing, and how to get it."""


@dataclass(frozen=True)
class Tool:
    """A program to run, and the page where it is then found."""

    name: str
    page: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


def prometheus(port: int) -> Tool:
    """MonitorError where there is none."""
    binary = shutil.which("prometheus")
    if not binary:
        raise MonitorError(ADVICE)
    return Tool(
        "Prometheus",
        f"http://{HOST}:{port}",
        [
            binary,
            f"--config.file={DEPLOY / 'prometheus.yml'}",
            f"--storage.tsdb.path={RUNTIME / 'prometheus'}",
            "--storage.tsdb.retention.time=1d",
            f"--web.listen-address={HOST}:{port}",
            "--log.level=warn",
        ],
    )


def grafana(port: int, prometheus_port: int) -> Tool | None:
    """With our data source, that Prometheus, and our dashboard; None where there is none."""
    home = next((home for home in GRAFANA_HOMES if Path(home).is_dir()), "")
    binary = shutil.which("grafana")
    server = shutil.which("grafana-server")
    if not home or not (binary or server):
        return None
    command = [binary, "server"] if binary else [str(server)]
    settings = {
        "GF_SERVER_HTTP_ADDR": HOST,
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_PATHS_DATA": str(RUNTIME / "grafana"),
        "GF_PATHS_LOGS": str(RUNTIME / "grafana"),
        "GF_PATHS_PROVISIONING": str(DEPLOY / "grafana" / "provisioning"),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        env.DASHBOARDS.name: str(DEPLOY / "grafana" / "dashboards"),
        env.PROMETHEUS.name: f"http://{HOST}:{prometheus_port}",
    }
    return Tool(
        "Grafana", f"http://{HOST}:{port}/d/retouch", [*command, "--homepath", home], settings
    )


@contextlib.contextmanager
def running(tools: list[Tool]) -> Iterator[list[subprocess.Popen]]:
    """The tools at work; they are stopped at the end, whatever it is."""
    RUNTIME.mkdir(exist_ok=True)
    with (RUNTIME / "monitor.log").open("wb") as log:
        started: list[subprocess.Popen] = []
        try:
            for tool in tools:
                started.append(
                    subprocess.Popen(
                        tool.command,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                        env=env.of_child(tool.environment),
                    )
                )
            yield started
        finally:
            for process in started:
                process.send_signal(signal.SIGTERM)
            for process in started:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS)
                process.kill()


def watch(tools: list[Tool]) -> None:
    """Until Ctrl-C; MonitorError when one ends by itself."""
    with running(tools) as processes:
        while not (
            ended := [tool for tool, process in zip(tools, processes) if process.poll() is not None]
        ):
            time.sleep(0.5)
    raise MonitorError(
        f"{ended[0].name} has stopped by itself; the log is {RUNTIME / 'monitor.log'}"
    )
