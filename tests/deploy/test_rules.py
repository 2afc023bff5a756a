"""Alert rules: valid, proven case by case, and the guide's own second alert shown wrong."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from des_admin.deployment.prometheus import (
    DASHBOARD,
    KEPT_RUNBOOK,
    STALLED_PANEL,
    render_grafana,
    render_rule_object,
    render_rules,
)
from des_core.metrics.archive_reader import EXCEPTION_LIMIT
from support.pages.deployment import DEPLOY, ROOT, MakeDeployment
from support.pages.tools import require_tool

RULES = DEPLOY / "prometheus" / "des-rules.yml"
CASES = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))
GUIDE = Path(__file__).parent / "guide" / "rule_test.yml"


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [require_tool("promtool"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def test_rules_pass_promtool_with_lint_as_errors() -> None:
    done = promtool("check", "rules", "--lint-fatal", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_scrape_configuration_is_valid() -> None:
    done = promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_alert(case: Path) -> None:
    done = promtool("test", "rules", case)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_its_four_cases() -> None:
    assert {case.stem for case in CASES} == set(alerts())
    for case in CASES:
        titles = [test["name"] for test in yaml.safe_load(case.read_text())["tests"]]
        for wanted in ("fires", "caught up", "pod gone", "restart"):
            assert any(title.startswith(wanted) for title in titles), f"{case.stem}: {wanted}"


def test_every_alert_says_what_it_is_and_where_to_read_on() -> None:
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        annotations = rule["annotations"]
        assert set(annotations) == {"summary", "description", "runbook_url"}, name
        assert annotations["runbook_url"] == f"{KEPT_RUNBOOK}#{name.lower()}"


def test_every_alert_is_one_click_away_from_the_runbooks_first_screen() -> None:
    page = "docs/runbook/alerts.md"
    headings = set(re.findall(r"^### (\w+)$", (ROOT / page).read_text(), re.M))
    assert set(alerts()) == headings
    first_screen = (ROOT / "RUNBOOK.md").read_text().partition("## Pages")[0]
    assert len(first_screen.splitlines()) < 40
    for name in alerts():
        link = f'<a id="{name.lower()}"></a>[{name}]({page}#{name.lower()}) |'
        assert link in first_screen, name


def test_every_alert_looks_at_the_exporter_only() -> None:
    for name, rule in alerts().items():
        expression = rule["expr"]
        for metric in re.findall(r"\bdes_\w+", expression):
            assert f'{metric}{{job="des-exporter"}}' in expression, name


def test_what_is_counted_up_to_a_limit_is_not_trusted_beyond_it() -> None:
    assert f"sum[10m]) >= {EXCEPTION_LIMIT}\n" in alerts()["DesExceptionsGrowing"]["expr"]


def test_the_second_alert_of_the_guide_is_wrong_both_ways() -> None:
    """It fires when all is caught up, and is silent when the watermark is stuck as lag grows."""
    done = promtool("test", "rules", GUIDE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_period_of_the_schedule_is_in_the_rules(make: MakeDeployment, tmp_path: Path) -> None:
    deployment = make(schedule="*/15 * * * *", runbook_url="https://runbooks.example/des")
    text = render_rules(deployment)
    path = tmp_path / "rules.yml"
    path.write_text(text)
    assert promtool("check", "rules", "--lint-fatal", path).returncode == 0
    [stalled] = [
        rule
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
        if rule.get("alert") == "WatermarkNotProgressing"
    ]
    assert stalled["expr"].count("2 * 900") == 2
    assert stalled["for"] == "900s"
    link = "https://runbooks.example/des#watermarknotprogressing"
    assert stalled["annotations"]["runbook_url"] == link
    assert "3600" not in text
    board = json.loads(render_grafana(deployment)[DASHBOARD])
    [panel] = [each for each in board["panels"] if each["title"] == STALLED_PANEL]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["value"] for step in steps] == [None, 900, 1800]
    assert yaml.safe_load(render_rule_object(deployment))["spec"] == yaml.safe_load(text)
