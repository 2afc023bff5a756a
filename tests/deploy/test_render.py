"""`des-admin deploy render`: what it writes, what it refuses, and that no secret gets through."""

import json
import re
from pathlib import Path

import pytest
import yaml

import des_core
from des_admin.deployment.files import plan_render, write_render
from des_core.basics.errors import ConfigError, Refused, UsageError
from support.pages.deployment import GUIDE_CONFIG, RICH_CONFIG, MakeDeployment
from support.program.own_process import run_program

CANARY = "c4n4ry-Pa55"


def test_no_secret_is_needed_and_none_is_written(make: MakeDeployment, tmp_path: Path) -> None:
    env = {"DB_PASSWORD": CANARY, "METRICS_PASSWORD": CANARY, "DB_USER": "u"}
    for given in ({}, env):
        deployment = make(RICH_CONFIG, env=given)
        plan = plan_render(deployment, tmp_path / "out")
        assert CANARY not in json.dumps(plan.texts)
        assert "des-admin-variable-not-set" not in json.dumps(plan.texts)
        assert plan.texts["kubernetes/config/watermark-migration-config.yaml"] == RICH_CONFIG


# Not only what is in force is copied: comments and other profiles, too.
WRITTEN = (
    f"# url: postgresql://u:{CANARY}@h/d",
    f"# before: mysql://u:{CANARY}@h/d, since May another",
    f"profiles: {{other: {{database: {{url: 'postgresql://u:{CANARY}@h/d'}}}}}}",
    f"# password: {CANARY}",
    f"#   - DB_PASSWORD={CANARY}",
    f"# aws_secret_access_key = {CANARY}",
    f"# push: https://push.example/?token={CANARY}",
)
HARMLESS = (
    "# password: ${METRICS_PASSWORD}",
    "# password: null",
    "# url: postgresql://u:***@h/d",
    "# url: postgresql://u:${DB_PASSWORD}@h/d",
    "# The password comes from a secret, see the wiki: https://wiki.example/x",
)


@pytest.mark.parametrize("line", HARMLESS)
def test_a_comment_without_a_password_is_copied(
    make: MakeDeployment, tmp_path: Path, line: str
) -> None:
    plan = plan_render(make(f"{RICH_CONFIG}\n{line}\n"), tmp_path)
    assert any(line in text for text in plan.texts.values())


@pytest.mark.parametrize(
    "text",
    [
        RICH_CONFIG.replace("${DB_PASSWORD}", CANARY),
        RICH_CONFIG.replace("${METRICS_PASSWORD}", CANARY),
        *(f"{RICH_CONFIG}\n{line}\n" for line in WRITTEN),
        RICH_CONFIG.replace("${DB_PASSWORD}", "abc"),
        RICH_CONFIG.replace("${METRICS_PASSWORD}", "a"),
        RICH_CONFIG.replace("${DB_PASSWORD}", "\\x61bc"),
        RICH_CONFIG.replace("${DB_PASSWORD}", "${DB_PASSWORD:abc}"),
        RICH_CONFIG.replace("${DB_PASSWORD}", "q${DB_PASSWORD}"),
    ],
)
def test_a_password_in_the_configuration_is_refused(
    make: MakeDeployment, tmp_path: Path, text: str
) -> None:
    with pytest.raises(Refused, match="password") as caught:
        plan_render(make(text), tmp_path)
    assert CANARY not in str(caught.value)


def test_files_that_differ_are_named_before_they_are_overwritten(
    make: MakeDeployment, tmp_path: Path
) -> None:
    plan = plan_render(make(), tmp_path)
    assert plan.changed == ()
    write_render(plan)
    assert plan_render(make(), tmp_path).changed == ()
    other = plan_render(make(image="registry.example/des:2.0"), tmp_path)
    assert other.changed == (
        "kubernetes/compliance/cronjob.yaml",
        "kubernetes/cronjob.yaml",
        "kubernetes/exporter.yaml",
        "kubernetes/migrate/job.yaml",
    )


def test_the_profile_is_what_is_deployed(make: MakeDeployment) -> None:
    text = GUIDE_CONFIG.read_text() + "\nprofiles:\n  other:\n    packer:\n      output_dir: /o\n"
    deployment = make(text, profile="other")
    config = yaml.safe_load(deployment.config_text)
    assert config["packer"]["output_dir"] == "/o"
    assert config["packer"]["n_bits"] == 8
    assert "profiles" not in config
    with pytest.raises(ConfigError, match="profile"):
        make(text, profile="missing")


def test_what_the_configuration_lacks_is_said(make: MakeDeployment, tmp_path: Path) -> None:
    without = GUIDE_CONFIG.read_text().replace('  source_roots: ["/mnt/files"]\n', "")
    [warning] = plan_render(make(without), tmp_path).warnings
    assert "source_roots" in warning
    assert plan_render(make(), tmp_path).warnings == ()


@pytest.mark.parametrize(
    "options",
    [
        {"namespace": "Not A Name"},
        {"namespace": "x" * 64},
        {"monitoring_namespace": "a/b"},
        {"image": "two words"},
        {"time_zone": "Mars/Olympus"},
        {"bin_dir": "relative"},
        {"config_path": "/with space"},
        {"user": "root;true"},
        {"runbook_url": "RUNBOOK.md"},
        {"runbook_url": "/docs/runbook/alerts.md"},
        {"runbook_url": "https://"},
    ],
)
def test_flags_that_cannot_be_used_are_refused(make: MakeDeployment, options: dict) -> None:
    with pytest.raises(UsageError):
        make(**options)


def test_where_the_alerts_link_to_is_not_left_out(tmp_path: Path) -> None:
    config = tmp_path / "des-admin.yaml"
    config.write_text(RICH_CONFIG)
    render = ("deploy", "render", "--to", str(tmp_path / "out"))
    refused = run_program(*render, cwd=tmp_path)
    assert refused.code == 2
    assert "metrics.runbook_url" in refused.err
    url = "https://wiki.example.org/des"
    config.write_text(RICH_CONFIG.replace("metrics:", f'metrics:\n  runbook_url: "{url}"'))
    assert run_program(*render, cwd=tmp_path).code == 0
    rules = tmp_path / "out" / "prometheus" / "des-rules.yml"
    links = re.findall(r"runbook_url: (\S+)#\w+", rules.read_text())
    assert set(links) == {url}
    other = run_program(*render, "--force", "--runbook-url", f"{url}/2", cwd=tmp_path)
    assert other.code == 0
    assert f"{url}/2#desexporterdown" in rules.read_text()


def test_the_image_is_that_of_this_program(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run_program(
        "deploy", "render", "--config", str(GUIDE_CONFIG), "--to", str(out), cwd=tmp_path
    )
    assert done.code == 0, done.err
    images = {
        image
        for path in (out / "kubernetes").rglob("*.yaml")
        for image in re.findall(r"image: (\S+)", path.read_text())
    }
    assert images == {f"des-watermark:v{des_core.__version__}"}


def test_the_command_writes_and_refuses(tmp_path: Path) -> None:
    out = tmp_path / "out"
    render = ("deploy", "render", "--config", str(GUIDE_CONFIG), "--to", str(out))
    planned = run_program(*render, "--dry-run", "--output", "json", cwd=tmp_path)
    assert planned.code == 0, planned.err
    assert not out.exists()
    done = run_program(*render, cwd=tmp_path)
    assert done.code == 0, done.err
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert files == set(json.loads(planned.out)["files"])
    assert done.out.split() == [str(out / name) for name in sorted(files)]
    again = run_program(*render, "--namespace", "elsewhere", cwd=tmp_path)
    assert again.code == 4
    assert "--force" in again.err
    assert run_program(*render, "--namespace", "elsewhere", "--force", cwd=tmp_path).code == 0
    assert "elsewhere" in (out / "kubernetes" / "cronjob.yaml").read_text()
