"""What `retouch monitor` starts, and what it says where something is missing."""

from __future__ import annotations

import re
import sys
from string import Template

import pytest
import yaml
from click.testing import CliRunner

from retouch_clients.command import retouch
from retouch_clients.monitor import processes, tools

PROVISIONING = tools.DEPLOY / "grafana" / "provisioning"


def test_without_prometheus_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(tools.shutil, "which", lambda name: None)
    result = CliRunner().invoke(retouch, ["monitor"])
    assert result.exit_code == 1 and "apt-get install prometheus" in result.output


def test_everything_listens_on_loopback(monkeypatch):
    monkeypatch.setattr(tools.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(tools, "GRAFANA_HOMES", ("/usr",))
    assert "--web.listen-address=127.0.0.1:9090" in tools.prometheus(9090).command
    grafana = tools.grafana(3000, 9090)
    assert grafana.command == ["/usr/bin/grafana", "server", "--homepath", "/usr"]
    assert grafana.environment["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"


def test_grafana_asks_the_prometheus_that_is_started(monkeypatch):
    monkeypatch.setattr(tools.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(tools, "GRAFANA_HOMES", ("/usr",))
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    url = Template(source["url"]).substitute(tools.grafana(3000, 19090).environment)
    assert url == tools.prometheus(19090).page


def test_compose_gives_grafana_all_that_it_is_provisioned_by():
    expected = {
        name
        for path in PROVISIONING.rglob("*.yml")
        for name in re.findall(r"\$\{(\w+)}", path.read_text())
    }
    services = yaml.safe_load((tools.DEPLOY / "monitor.yml").read_text())["services"]
    assert expected and expected <= set(services["grafana"]["environment"])


@pytest.mark.parametrize(
    "reported", ["", "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(0)); "]
)
def test_a_tool_that_ends_is_told(tmp_path, monkeypatch, reported):
    """Not the other, which is stopped then, however it takes that."""
    monkeypatch.setattr(processes, "RUNTIME", tmp_path)
    ready = tmp_path / "ready"
    sleeper = (
        f"{reported}import pathlib, time; pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    )
    quitter = (
        f"import pathlib, time\nwhile not pathlib.Path({str(ready)!r}).exists(): time.sleep(0.01)"
    )
    pair = [
        tools.Tool(name, "", [sys.executable, "-c", code])
        for name, code in (("Sleeper", sleeper), ("Quitter", quitter))
    ]
    with pytest.raises(tools.MonitorError, match="Quitter has stopped"):
        processes.watch(pair)
