"""`retouch monitor`: Prometheus and Grafana beside a running server."""

from __future__ import annotations

import click

from retouch_clients.cli.console import console
from retouch_clients.monitor.processes import watch
from retouch_clients.monitor.tools import NO_GRAFANA, grafana, prometheus

PORT = click.IntRange(1, 65535)  # a free port (0) would be unknown to the user


@click.command(short_help="Monitor a running server with Prometheus and Grafana.")
@click.option("--port", type=PORT, default=9090, show_default=True, help="Port of Prometheus.")
@click.option("--grafana-port", type=PORT, default=3000, show_default=True, help="Port of Grafana.")
def monitor(port: int, grafana_port: int) -> None:
    """Monitor a running server with Prometheus and Grafana until Ctrl-C.

    Prometheus reads the server's metrics at port 8002 and those of the OpenAI API at port 8080.
    Edit deploy/prometheus.yml for other ports."""
    tools = [prometheus(port), *filter(None, [grafana(grafana_port, port)])]
    for tool in tools:
        console.print(f"{tool.name}: {tool.page}", soft_wrap=True)
    if len(tools) == 1:
        console.print(NO_GRAFANA, soft_wrap=True)
    watch(tools)
