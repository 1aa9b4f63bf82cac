"""The dashboard is one that Grafana can show: panels have their own names and places, and take
their data from one variable."""

from __future__ import annotations

import itertools
import json

import promql_parser
import pytest
import yaml

from retouch.launcher.server import ROOT

DEPLOY = ROOT / "deploy"
BOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "retouch.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def test_every_panel_has_a_name_of_its_own_and_says_what_it_shows():
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert len({panel["title"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert all(
        panel["description"] and panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS
    )


def test_no_panel_covers_another():
    def cells(panel):
        place = panel["gridPos"]
        return {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }

    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in BOARD["panels"])
    for one, other in itertools.combinations(BOARD["panels"], 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])


def test_the_data_source_is_a_variable():
    sources = [panel["datasource"] for panel in PANELS] + [
        target["datasource"] for panel in PANELS for target in panel["targets"]
    ]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    assert {variable["name"] for variable in BOARD["templating"]["list"]} == {"datasource", "lane"}


@pytest.mark.parametrize(
    "expression", [target["expr"] for panel in PANELS for target in panel["targets"]]
)
def test_every_query_is_promql(expression):
    promql_parser.parse(expression.replace("$__rate_interval", "1m").replace("$lane", ".+"))


RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_is_promql_and_says_what_is_wrong(rule):
    promql_parser.parse(rule["expr"])
    assert rule["for"] and rule["annotations"]["summary"].endswith(".")
    assert rule["labels"]["severity"] in ("critical", "warning")


def test_prometheus_loads_the_alerts():
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    assert yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["rule_files"] == ["alerts.yml"]
    mounts = yaml.safe_load((DEPLOY / "monitor.yml").read_text())["services"]["prometheus"][
        "volumes"
    ]
    assert "./alerts.yml:/etc/prometheus/alerts.yml:ro" in mounts


def test_compose_and_provisioning_name_files_that_exist():
    services = yaml.safe_load((DEPLOY / "monitor.yml").read_text())["services"]
    for volume in (mount for service in services.values() for mount in service["volumes"]):
        assert (DEPLOY / volume.split(":")[0]).exists(), volume
    assert all(
        ":" in service["image"] and not service["image"].endswith(":latest")
        for service in services.values()
    )
    (source,) = yaml.safe_load(
        (DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text()
    )["datasources"]
    scrape = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == scrape["global"]["scrape_interval"]
