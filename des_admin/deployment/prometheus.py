"""Rules, dashboard and scrape configuration for one configuration and schedule."""

from __future__ import annotations

import json

import yaml

from des_admin.deployment.kubernetes import dump_documents
from des_admin.deployment.options import Deployment
from des_core.basics.resources import resource_dir

RULES = "des-rules.yml"
SCRAPE = "prometheus.yml"
DASHBOARD = "des-dashboard.json"
STALLED_PANEL = "Due and not packed for"
KEPT_RUNBOOK = "https://runbooks.example.org/des-admin/docs/runbook/alerts.md"
_PERIOD_S = 3600
_ONE_PERIOD = "for: 1h # one period"


def render_prometheus(deployment: Deployment) -> dict[str, str]:
    """Texts by path below `prometheus/`."""
    root = resource_dir("deploy") / "prometheus"
    scrape = (root / SCRAPE).read_text(encoding="utf-8")
    return {RULES: render_rules(deployment), SCRAPE: _scrape(scrape, deployment)}


def render_rules(deployment: Deployment) -> str:
    """The rules, with the period of the schedule and the address of the runbook filled in."""
    text = (resource_dir("deploy") / "prometheus" / RULES).read_text(encoding="utf-8")
    period_s = deployment.schedule.longest_gap_s
    for periods in (2, 3):
        text = text.replace(f"{periods} * {_PERIOD_S}", f"{periods} * {period_s}")
    text = text.replace(_ONE_PERIOD, f"for: {period_s}s # one period")
    text = text.replace(f"# {_PERIOD_S} is the period", f"# {period_s} is the period")
    return text.replace(f"runbook_url: {KEPT_RUNBOOK}#", f"runbook_url: {deployment.runbook_url}#")


def render_rule_object(deployment: Deployment) -> str:
    """The same rules as an object of the Prometheus operator."""
    rules = yaml.safe_load(render_rules(deployment))
    labels = {
        "app.kubernetes.io/name": "des-exporter",
        "app.kubernetes.io/part-of": "des-archive",
    }
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "des-rules", "namespace": deployment.namespace, "labels": labels},
        "spec": {"groups": rules["groups"]},
    }
    return dump_documents([document])


def render_grafana(deployment: Deployment) -> dict[str, str]:
    """Texts by path below `grafana/`; thresholds follow the schedule as the alerts do."""
    path = resource_dir("deploy") / "grafana" / DASHBOARD
    document = json.loads(path.read_text(encoding="utf-8"))
    period_s = deployment.schedule.longest_gap_s
    for panel in document["panels"]:
        if panel["title"] == STALLED_PANEL:
            steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            for step, periods in zip(steps[1:], (1, 2), strict=True):
                step["value"] = periods * period_s
    return {DASHBOARD: json.dumps(document, indent=2) + "\n"}


def _scrape(text: str, deployment: Deployment) -> str:
    metrics = deployment.settings.metrics
    text = text.replace("metrics_path: /metrics", f"metrics_path: {metrics.path}")
    text = text.replace("127.0.0.1:9190", f"127.0.0.1:{deployment.exporter_port}")
    extra = ""
    if deployment.scheme == "https":
        extra += "    scheme: https\n"
    if metrics.username is not None:
        login = {"username": metrics.username, "password_file": "/etc/prometheus/des-exporter"}
        extra += yaml.safe_dump({"basic_auth": login}, sort_keys=False).replace("\n", "\n    ")
        extra = "    " + extra.lstrip().rstrip() + "\n"
    return text.replace("    static_configs:", f"{extra}    static_configs:")
