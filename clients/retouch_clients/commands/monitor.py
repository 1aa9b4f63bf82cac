"""`retouch monitor`: Prometheus and Grafana beside a running server."""

from __future__ import annotations

import click

from retouch_clients.cli.console import console
from retouch_clients.monitor import tools as tools

PORT = click.IntRange(1, 65535)  # 0 would be a port that nobody is told of


@click.command(short_help="Watch a running server by Prometheus and Grafana.")
@click.option("--port", type=PORT, default=9090, show_default=True, help="Of Prometheus.")
@click.option("--grafana-port", type=PORT, default=3000, show_default=True)
def monitor(port: int, grafana_port: int) -> None:
    """Watch a running server by Prometheus and Grafana, until Ctrl-C.

    Its metrics are read at port 8002 and those of the OpenAI API at 8080; others can be named in
    deploy/prometheus.yml."""
    started = [tools.prometheus(port), *filter(None, [tools.grafana(grafana_port, port)])]
    for tool in started:
        console.print(f"{tool.name}: {tool.page}", soft_wrap=True)
    if len(started) == 1:
        console.print(tools.NO_GRAFANA, soft_wrap=True)
    tools.watch(started)
