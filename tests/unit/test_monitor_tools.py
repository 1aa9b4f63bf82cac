"""What `retouch monitor` starts, and what it says where something is missing."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from clients import monitor
from clients.command import retouch


def test_without_prometheus_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(monitor.shutil, "which", lambda name: None)
    result = CliRunner().invoke(retouch, ["monitor"])
    assert result.exit_code == 1 and "apt-get install prometheus" in result.output


def test_everything_listens_on_loopback(monkeypatch):
    monkeypatch.setattr(monitor.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(monitor, "GRAFANA_HOMES", ("/usr",))
    assert "--web.listen-address=127.0.0.1:9090" in monitor.prometheus(9090).command
    grafana = monitor.grafana(3000)
    assert grafana.command == ["/usr/bin/grafana", "server", "--homepath", "/usr"]
    assert grafana.environment["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_a_tool_that_ends_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(monitor, "RUNTIME", tmp_path)
    tools = [monitor.Tool("Sleeper", "", [sys.executable, "-c", "import time; time.sleep(60)"]),
             monitor.Tool("Quitter", "", [sys.executable, "-c", "pass"])]
    with pytest.raises(monitor.MonitorError, match="Quitter has stopped by itself"):
        monitor.watch(tools)
