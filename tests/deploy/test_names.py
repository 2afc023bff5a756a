"""Every metric in rules, dashboard and documents is in the code, and the other way round."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from des_admin.deployment.prometheus import render_grafana
from des_core.metrics.definitions import METRICS
from support.pages.deployment import DEPLOY, ROOT, MakeDeployment
from support.pages.tools import require_tool

RULES = DEPLOY / "prometheus" / "des-rules.yml"
DASHBOARD = DEPLOY / "grafana" / "des-dashboard.json"
DOCUMENT = ROOT / "docs" / "metrics.md"
_NAME = re.compile(r"\bdes_[a-z_]+\b")


def base_name(name: str) -> str:
    """A histogram's series belong to the histogram."""
    for suffix in ("_bucket", "_sum", "_count"):
        known = METRICS.get(name.removesuffix(suffix))
        if known is not None and known.kind == "histogram":
            return known.name
    return name


def names_in(text: str) -> set[str]:
    return {base_name(name) for name in _NAME.findall(text)}


def dashboard() -> dict[str, Any]:
    return json.loads(DASHBOARD.read_text())


def expressions() -> list[str]:
    return [t["expr"] for panel in dashboard()["panels"] for t in panel.get("targets", [])]


def alert_expressions() -> dict[str, str]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {
        rule.get("alert", rule.get("record")): rule["expr"]
        for group in groups
        for rule in group["rules"]
    }


def test_rules_and_dashboard_use_every_metric_and_no_other() -> None:
    used = names_in(" ".join([*alert_expressions().values(), *expressions()]))
    assert used == set(METRICS)


def test_the_document_lists_every_metric_as_it_is() -> None:
    rows = re.findall(
        r"^\| `(des_\w+)` \| (\w+) \| (.*?) \| (.*?) \| (.*) \|$", DOCUMENT.read_text(), re.M
    )
    assert rows == [
        (
            metric.name,
            metric.kind,
            f"`{metric.label}`" if metric.label else "",
            ", ".join(
                who
                for who, serves in (("runner", metric.runner), ("exporter", metric.exporter))
                if serves
            ),
            metric.help,
        )
        for metric in METRICS.values()
    ]


def test_documents_name_no_metric_that_is_not_there() -> None:
    own_tables = re.compile(
        r"\bdes_(archive_(config|slice|shard|exception|event|worker|job|lock|lease|outcome|damage)s?"
        r"|admin\w*|core\w*)\b|\bdes_archive_…|(--to |TO \")des_(runner|exporter)\b"
    )
    runbook = [ROOT / "RUNBOOK.md", *(ROOT / "docs" / "runbook").glob("*.md")]
    for path in (*runbook, ROOT / "README.md", DOCUMENT):
        text = own_tables.sub("", path.read_text())
        assert names_in(text) <= set(METRICS), path.name


def test_the_guides_panels_are_there() -> None:
    panels = {panel["title"]: panel for panel in dashboard()["panels"]}
    for title, metric in (
        ("Watermark Lag", "des_watermark_lag_seconds"),
        ("Files Per Window", "rate(des_migration_files_total"),
        ("Window Processing Time", "des_migration_duration_seconds"),
    ):
        assert metric in panels[title]["targets"][0]["expr"]
    assert dashboard()["title"] == "DES Watermark Migration"


def test_every_panel_has_a_unit_a_description_and_the_datasource_of_the_variable() -> None:
    variables = {each["name"]: each for each in dashboard()["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    for panel in dashboard()["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        for where in (panel, *panel["targets"]):
            assert where["datasource"]["uid"] == "${datasource}"


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + dx, place["y"] + dy)
            for dx in range(place["w"])
            for dy in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def red_from(title: str) -> float:
    [panel] = [each for each in dashboard()["panels"] if each["title"] == title]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    [red] = [step["value"] for step in steps if step["color"] == "red"]
    return red


def test_thresholds_are_those_of_the_alerts() -> None:
    alerts = alert_expressions()
    for title, alert, text in (
        ("Behind the target", "WatermarkLaggingBehind", "> 86400 * 3"),
        ("Due and not packed for", "WatermarkNotProgressing", "> 2 * 3600"),
        ("Failed cycles in a row", "DesCycleFailing", ">= 2"),
        ("New exceptions in 6 h", "DesExceptionsGrowing", "> 100"),
        ("Clock offset", "DesClockSkewed", "> 30"),
        ("Last complete read", "DesExporterCannotRead", "> 900"),
    ):
        assert text in alerts[alert], alert
        limit = eval(text.lstrip(">= "))
        assert red_from(title) == limit, title
    [space] = [each for each in dashboard()["panels"] if each["title"] == "Free space"]
    steps = space["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["color"] for step in steps] == ["red", "yellow", "green"]
    assert [step["value"] for step in steps[1:]] == [0.1, 0.3]
    assert "< 0.1" in alerts["DesVolumeFilling"]
    assert "< 0.3" in alerts["DesVolumeFilling"]


def test_prometheus_understands_every_query(tmp_path: Path) -> None:
    """Each query of the dashboard as a recording rule, with its variables filled in."""
    rules = [
        {"record": f"panel:query_{number}", "expr": text.replace("$job", "des-exporter")}
        for number, text in enumerate(expressions())
    ]
    assert rules
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    line = [require_tool("promtool"), "check", "rules", str(file)]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_the_dashboard_is_what_its_script_writes() -> None:
    script = ROOT / "scripts" / "build-dashboard"
    done = subprocess.run([sys.executable, str(script), "--check"], check=False)
    assert done.returncode == 0, "run scripts/build-dashboard"


def test_the_rendered_dashboard_is_the_kept_one_for_an_hourly_schedule(
    make: MakeDeployment,
) -> None:
    assert render_grafana(make()) == {DASHBOARD.name: DASHBOARD.read_text()}


def test_the_script_is_executable() -> None:
    assert Path(ROOT / "scripts" / "build-dashboard").stat().st_mode & 0o111
