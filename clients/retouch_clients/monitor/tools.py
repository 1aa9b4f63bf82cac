"""The command lines of Prometheus and Grafana, both on the loopback interface."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from retouch.launcher.paths import IS_CHECKOUT
from retouch.launcher.server import HOST, ROOT, RUNTIME
from retouch.util import env

DEPLOY = ROOT / "deploy" if IS_CHECKOUT else Path(__file__).parents[1] / "deploy"
GRAFANA_HOMES = ("/usr/share/grafana", "/opt/grafana")
NO_PROMETHEUS = (
    "Prometheus is not on PATH; install it with `apt-get install prometheus`, or run "
    "`docker compose -f deploy/monitor.yml up`"
)
NO_GRAFANA = (
    "Grafana is not on PATH: import deploy/grafana/dashboards/retouch.json into your own Grafana, "
    "or run `docker compose -f deploy/monitor.yml up`"
)


class MonitorError(RuntimeError):
    """A tool is missing or has stopped; the message says what to do."""


@dataclass(frozen=True)
class Tool:
    """A program to run, and the URL that it serves."""

    name: str
    page: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


def prometheus(port: int) -> Tool:
    """Prometheus on `port`; MonitorError if it is not installed."""
    binary = shutil.which("prometheus")
    if not binary:
        raise MonitorError(NO_PROMETHEUS)
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
    """Grafana with our dashboard and that Prometheus as its source; None if it is not installed."""
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
    page = f"http://{HOST}:{port}/d/retouch"
    return Tool("Grafana", page, [*command, "--homepath", home], settings)
