# SPDX-License-Identifier: Apache-2.0
"""conf/monitoring/stek-dashboard.json: the shape that Grafana wants, metrics and labels that there are, and
expressions that Prometheus reads and that give numbers for what the module exports."""
import json
import re
import subprocess

import pytest

from httpd import TOP

DASHBOARD = json.loads((TOP / "conf/monitoring/stek-dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
SOURCES = ["src/mod_stek_metric_names.c", "src/mod_stek_status_prometheus.c", "stekctl/fleet/metrics.c"]
# What Prometheus adds to every series.
ADDED = {"instance", "job"}


def exported():
    """Metric -> labels, as the sources write them."""
    text = "".join((TOP / name).read_text() for name in SOURCES)
    found = {name: {"ring"} for name in re.findall(r'"(stek_[a-z0-9_]+)"', text)}
    for name, labels in re.findall(r'"(stek_[a-z0-9_]+)\{((?:[^}"]|\\")*)\}', text):
        found[name] = set(re.findall(r"(\w+)=", labels))
    for name, label in re.findall(r'"(stek_\w+)",\s*"[^"]*",\s*"(\w+)"', text):
        found[name] |= {label}
    for name in found:
        if name.startswith("stek_sync_store_"):
            found[name] |= {"store"}
    found["stek_ring_load_failures_total"] |= {"process"}
    return found


def plain(expression):
    """As Prometheus gets it: Grafana's variables filled in."""
    for name, value in (("$__rate_interval", "5m"), ("$instance", ".*"), ("$ring", ".*")):
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def test_dashboard_has_the_shape_that_grafana_wants():
    assert DASHBOARD["schemaVersion"] >= 36 and DASHBOARD["title"] and re.fullmatch(r"[\w-]{1,40}", DASHBOARD["uid"])
    assert "id" not in DASHBOARD and "__inputs" not in DASHBOARD  # those of one Grafana
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert set(variables) == {"datasource", "instance", "ring"}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["type"] in ("stat", "timeseries", "state-timeline") and panel["title"] and panel["targets"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None and [s["value"] for s in steps[1:]] == sorted(s["value"] for s in steps[1:])
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs)) and all(target["datasource"] == panel["datasource"]
                                                   for target in panel["targets"])


def test_dashboard_names_only_metrics_and_labels_that_are_exported():
    metrics = exported()
    assert len(metrics) > 30 and "process" in metrics["stek_ring_load_failures_total"]
    used = [expression for _, expression in EXPRESSIONS]
    used += [variable["definition"] for variable in DASHBOARD["templating"]["list"] if "definition" in variable]
    named = set()
    for expression in used:
        for name, selector in re.findall(r"\b(stek_\w+)(\{[^}]*\})?", expression):
            family = name if name in metrics else re.sub(r"_(bucket|sum|count)$", "", name)
            assert family in metrics, name
            assert set(re.findall(r"(\w+)=", selector)) <= metrics[family] | ADDED, expression
            named.add(family)
        labels = metrics[re.search(r"stek_\w+?(?=_bucket|\b)", expression).group(0)] | ADDED | {"le"}
        for group in re.findall(r"by \(([^)]*)\)", expression):
            assert set(group.split(", ")) <= labels, expression
    assert len(named) >= 20


def test_dashboard_legends_name_labels_that_are_left():
    for panel in PANELS:
        for target in panel["targets"]:
            grouped = re.search(r"by \(([^)]*)\)", target["expr"])
            names = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert not grouped or names <= set(grouped.group(1).split(", ")), target
            assert grouped or not re.match(r"(sum|min|max)\b", target["expr"]) or not names, target


# Series of one host and one store; counters grow by 60 a minute.
GROWING = {"stek_tickets_resumed_total": ['key="current"', 'key="old"'], "stek_tickets_refused_total": ['reason="unknown"'],
           "stek_tickets_not_offered_total": [""], "stek_tickets_issued_total": [""],
           "stek_handshakes_keyless_total": [""], "stek_tickets_unsealed_total": [""],
           "stek_ticket_issued_bytes_total": [""], "stek_ticket_offered_bytes_total": [""],
           "stek_ticket_age_seconds_bucket": ['le="60"', 'le="+Inf"'],
           "stek_ring_load_failures_total": ['process="parent", cause="seal"'],
           "stek_sync_store_answers_total": ['store="s", answer="good"'],
           "stek_sync_store_conflicts_total": ['store="s"'], "stek_sync_store_write_failures_total": ['store="s"'],
           "stek_sync_keys_made_total": [""], "stek_sync_keys_evicted_total": [""]}


@pytest.fixture(scope="module")
def series():
    steady = {name for _, expression in EXPRESSIONS for name in re.findall(r"\bstek_\w+", expression)} - set(GROWING)
    common = 'ring="default", instance="a", job="stek"'
    return [{"series": f"{name}{{{', '.join(filter(None, [common, labels]))}}}", "values": "0+60x120"}
            for name, several in GROWING.items() for labels in several] + \
        [{"series": f"{name}{{{common}{', trouble=' + chr(34) + 'gone' + chr(34) if 'trouble' in name else ''}}}",
          "values": "1x120"} for name in steady]


def test_dashboard_expressions_give_numbers(series, tmp_path):
    """Each of them, over series as the module and stekctl export them."""
    cases = [{"expr": f"count({plain(expression)}) > bool 0", "eval_time": "100m",
              "exp_samples": [{"labels": "{}", "value": 1}]} for _, expression in EXPRESSIONS]
    share, = (expression for title, expression in EXPRESSIONS if title == "Clients that resume")
    cases.append({"expr": plain(share), "eval_time": "100m", "exp_samples": [{"labels": "{}", "value": 0.5}]})
    (tmp_path / "test.yml").write_text(json.dumps({"tests": [{"interval": "1m", "input_series": series,
                                                              "promql_expr_test": cases}]}))
    done = subprocess.run(["promtool", "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
