"""Manifests: valid for Kubernetes, and sensible for this program, as kept and as rendered."""

import posixpath
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from des_admin.deployment.files import plan_render, render_all, write_render
from des_admin.deployment.mounts import Role, credentials_of, mounts_for
from des_admin.deployment.options import Deployment
from des_core.basics.errors import ExitCode
from des_core.basics.object_config import is_object_url
from support.pages.deployment import (
    DEPLOY,
    GUIDE_CONFIG,
    OBJECT_CONFIG,
    RICH_CONFIG,
    SQLITE_CONFIG,
    MakeDeployment,
    documents_of,
)
from support.pages.tools import require_tool

Json = dict[str, Any]
DASK_CONFIG = """
database: {{url: "postgresql://archive:${{DB_PASSWORD}}@db/archive"}}
packer: {{output_dir: /mnt/des/output, engine: dask, scheduler: "{}"}}
"""
KUBERNETES = DEPLOY / "kubernetes"
OLDEST, NEWEST = "1.31", "1.37"
NO_SCHEMA = {"Kustomization", "ServiceMonitor", "PrometheusRule"}  # not Kubernetes' own kinds
ROLES = {
    "watermark-migration": Role.RUNNER,
    "exporter": Role.EXPORTER,
    "migrate": Role.MIGRATE,
    "backup-check": Role.BACKUP,
    "compliance-sync": Role.COMPLIANCE,
}
NEVER_RETRIED = {
    ExitCode.USAGE,
    ExitCode.NEW_EXCEPTIONS,
    ExitCode.REFUSED,
    ExitCode.LOCKED,
    ExitCode.WRONG_SCHEMA,
    ExitCode.DAMAGED,
}


@pytest.fixture
def objects(rendered: dict[str, str]) -> list[Json]:
    return [each for all in documents_of(rendered).values() for each in all]


def pods(objects: list[Json]) -> Iterator[tuple[Json, Json, Json | None]]:
    """Each workload with its pod and its Job, if it is one."""
    for each in objects:
        if each["kind"] == "CronJob":
            job = each["spec"]["jobTemplate"]["spec"]
            yield each, job["template"]["spec"], job
        elif each["kind"] in ("Job", "Deployment"):
            spec = each["spec"]
            yield each, spec["template"]["spec"], spec if each["kind"] == "Job" else None


def test_what_is_kept_is_what_is_rendered_for_the_guides_configuration(
    make: MakeDeployment,
) -> None:
    rendered = documents_of(render_all(make()))
    for path in KUBERNETES.rglob("*.yaml"):
        name = f"kubernetes/{path.relative_to(KUBERNETES)}"
        if path.name in ("watermark-migration-config.yaml", "backup-check.yaml"):
            continue
        if "/workers/" in name:
            continue
        kept = [each for each in yaml.safe_load_all(path.read_text()) if each]
        if name == "kubernetes/prometheus-operator/kustomization.yaml":
            kept[0]["resources"].append("prometheusrule.yaml")  # made from the rules
        assert rendered.pop(name) == kept, name
    assert set(rendered) == {"kubernetes/prometheus-operator/prometheusrule.yaml"}


def test_the_kept_workers_are_the_rendered_ones_for_four(make: MakeDeployment) -> None:
    text = GUIDE_CONFIG.read_text()
    four = text.replace("  lag_days: 7", "  lag_days: 7\n  shards_total: 4")
    rendered = documents_of(render_all(make(four)))
    for path in (KUBERNETES / "workers").iterdir():
        kept = [each for each in yaml.safe_load_all(path.read_text()) if each]
        assert rendered[f"kubernetes/workers/{path.name}"] == kept
    assert rendered["kubernetes/kustomization.yaml"][0]["resources"] == [
        "config",
        "networkpolicy.yaml",
        "exporter.yaml",
        "workers",
    ]


def test_the_kept_check_of_backups_is_the_rendered_one(make: MakeDeployment) -> None:
    text = GUIDE_CONFIG.read_text()
    assert "kubernetes/backup-check.yaml" not in render_all(make(text))
    rendered = documents_of(render_all(make(text + "\nbackup:\n  dir: /backups/des\n")))
    [kept] = yaml.safe_load_all((KUBERNETES / "backup-check.yaml").read_text())
    assert rendered["kubernetes/backup-check.yaml"] == [kept]
    assert rendered["kubernetes/kustomization.yaml"][0]["resources"][-1] == "backup-check.yaml"


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_objects_pass_the_schemas_strictly(objects: list[Json], version: str) -> None:
    checked = 0
    for each in objects:
        if each["kind"] not in NO_SCHEMA:
            kubernetes_validate.validate(each, version, strict=True)
            checked += 1
    assert checked >= 6


def test_kubectl_builds_every_directory(
    make: MakeDeployment, rendered: dict[str, str], tmp_path: Path
) -> None:
    kubectl = require_tool("kubectl", in_ci=False)
    for name, text in rendered.items():
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in (tmp_path / "out").rglob("kustomization.yaml"):
        done = subprocess.run(
            [kubectl, "kustomize", str(path.parent)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "kind:" in done.stdout


def test_names_leave_room_for_what_kubernetes_adds(objects: list[Json]) -> None:
    for each in objects:
        if each["kind"] != "Kustomization":
            assert len(each["metadata"]["name"]) <= 52


def test_everything_is_in_one_namespace(make: MakeDeployment) -> None:
    documents = documents_of(render_all(make(RICH_CONFIG, namespace="elsewhere")))
    for each in (one for all in documents.values() for one in all):
        where = each if each["kind"] == "Kustomization" else each["metadata"]
        assert where["namespace"] == "elsewhere"


def test_jobs_do_not_retry_what_a_retry_cannot_mend(objects: list[Json]) -> None:
    for each, pod, job in pods(objects):
        if job is None:
            continue
        assert pod["restartPolicy"] == "Never", "podFailurePolicy needs it"
        fail, ignore = job["podFailurePolicy"]["rules"]
        assert fail["action"] == ("FailIndex" if "completionMode" in job else "FailJob")
        assert fail["onExitCodes"]["containerName"] == pod["containers"][0]["name"]
        codes = set(fail["onExitCodes"]["values"])
        packs = pod["containers"][0]["name"] == "watermark-migration"
        assert codes == NEVER_RETRIED - (set() if packs else {ExitCode.NEW_EXCEPTIONS})
        assert not codes & {ExitCode.DONE, ExitCode.TERMINATED, ExitCode.DATABASE_UNREACHABLE}
        assert ignore["action"] == "Ignore"
        assert ignore["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
        assert each["kind"] != "CronJob" or "backoffLimit" in job or "backoffLimitPerIndex" in job


def test_files_that_became_exceptions_are_no_failed_pod(objects: list[Json]) -> None:
    for _, pod, _ in pods(objects):
        [container] = pod["containers"]
        given = {each["name"]: each.get("value") for each in container["env"]}
        packs = container["name"] == "watermark-migration"
        assert given.get("DES_ADMIN__MIGRATION__NEW_EXCEPTIONS_EXIT_CODE") == (
            "0" if packs else None
        )


def built(kubectl: str, directory: Path) -> list[Json]:
    done = subprocess.run([kubectl, "kustomize", directory], capture_output=True, check=True)
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def test_another_configuration_rolls_the_exporter_and_reaches_every_job(
    make: MakeDeployment, tmp_path: Path
) -> None:
    kubectl = require_tool("kubectl", in_ci=False)
    text = GUIDE_CONFIG.read_text() + "\nbackup:\n  dir: /backups/des\n"
    names = []
    for number, each in enumerate((text, text.replace("lag_days: 7", "lag_days: 8"))):
        write_render(plan_render(make(each), tmp_path / str(number)))
        root = tmp_path / str(number) / "kubernetes"
        used = {
            directory: {
                volume["configMap"]["name"]
                for _, pod, _ in pods(built(kubectl, root / directory))
                for volume in pod["volumes"]
                if "configMap" in volume
            }
            for directory in (".", "migrate", "compliance")
        }
        [name] = {name for found in used.values() for name in found}
        made = built(kubectl, root / "migrate")
        assert name in [e["metadata"]["name"] for e in made if e["kind"] == "ConfigMap"]
        names.append(name)
    assert names[0] != names[1]


@pytest.mark.parametrize("schedule", ["0 * * * *", "*/15 * * * *", "* * * * *", "30 2 * * *"])
def test_a_missed_tick_is_left_to_the_next_one(make: MakeDeployment, schedule: str) -> None:
    deployment = make(schedule=schedule)
    [cron_job] = documents_of(render_all(deployment))["kubernetes/cronjob.yaml"]
    spec = cron_job["spec"]
    assert spec["schedule"] == schedule
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["timeZone"] == "Etc/UTC"
    assert 0 < spec["startingDeadlineSeconds"] < deployment.schedule.shortest_gap_s


def test_pods_may_do_nothing_that_they_need_not(objects: list[Json]) -> None:
    for _, pod, _ in pods(objects):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = pod["containers"]
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"requests", "limits"} <= set(container["resources"])


def test_the_runner_has_time_to_finish_a_shard(objects: list[Json]) -> None:
    for _, pod, _ in pods(objects):
        if pod["containers"][0]["name"] == "watermark-migration":
            assert pod["terminationGracePeriodSeconds"] >= 120


def test_every_path_of_the_configuration_is_mounted(
    deployment: Deployment, objects: list[Json]
) -> None:
    settings = deployment.settings
    for _, pod, _ in pods(objects):
        [container] = pod["containers"]
        role = ROLES[container["name"]]
        mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
        volumes = {each["name"] for each in pod["volumes"]}
        assert {each["name"] for each in mounts.values()} == volumes
        assert len(mounts) == len(container["volumeMounts"]), "a path is mounted twice"
        for wanted in mounts_for(settings, role):
            assert mounts[wanted.path].get("readOnly", False) is wanted.read_only
        if role is Role.RUNNER:
            wanted = [settings.packer.output_dir, *settings.packer.source_roots]
            local = [posixpath.normpath(path) for path in wanted if not is_object_url(path)]
            assert set(local) <= set(mounts)
            kept = not settings.migration.delete_source_files
            for path in local:
                is_output = path == posixpath.normpath(settings.packer.output_dir)
                assert mounts[path].get("readOnly", False) is (kept and not is_output)
        assert "/tmp" in mounts, "the root is read-only"


def test_every_variable_of_the_configuration_comes_from_a_file(
    deployment: Deployment, objects: list[Json]
) -> None:
    wanted = {f"{each.variable}_FILE" for each in credentials_of(deployment.config_text)}
    for _, pod, _ in pods(objects):
        [container] = pod["containers"]
        given = {each["name"]: each.get("value") for each in container["env"]}
        assert {name for name in given if name.endswith("_FILE")} == wanted
        assert not {"DB_USER", "DB_PASSWORD"} & set(given), "secrets come as files"
        keys = {
            item["path"]
            for volume in pod["volumes"]
            if volume["name"] == "credentials"
            for item in volume["secret"]["items"]
        }
        assert {f"/secrets/{key}" for key in keys} == {given[name] for name in wanted}


def test_workers_are_as_many_as_the_configuration_says(make: MakeDeployment) -> None:
    documents = documents_of(render_all(make(RICH_CONFIG)))
    [cron_job] = documents["kubernetes/workers/cronjob.yaml"]
    job = cron_job["spec"]["jobTemplate"]["spec"]
    assert (job["completionMode"], job["completions"], job["parallelism"]) == ("Indexed", 3, 3)
    env = {e["name"]: e for e in job["template"]["spec"]["containers"][0]["env"]}
    assert env["DES_ADMIN__DATABASE__SHARDS_TOTAL"]["value"] == "3"
    path = env["DES_ADMIN__DATABASE__SHARD_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert "job-completion-index" in path
    [budget] = documents["kubernetes/workers/poddisruptionbudget.yaml"]
    assert budget["spec"]["minAvailable"] == 1, "pods that are done are not available"
    assert "kubernetes/workers/cronjob.yaml" not in render_all(make(SQLITE_CONFIG))


def test_probes_ports_and_addresses_agree(make: MakeDeployment) -> None:
    documents = documents_of(render_all(make(RICH_CONFIG)))
    exporter, service = documents["kubernetes/exporter.yaml"]
    [container] = exporter["spec"]["template"]["spec"]["containers"]
    assert container["command"][-4:] == ["--host", "0.0.0.0", "--port", "9464"]
    assert container["ports"] == [{"name": "metrics", "containerPort": 9464}]
    assert container["readinessProbe"]["httpGet"] == {
        "path": "/readyz",
        "port": "metrics",
        "scheme": "HTTPS",
    }
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    selector = service["spec"]["selector"]
    labels = exporter["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()
    assert exporter["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["metadata"]["name"] == "des-exporter", "the alerts look for this job"
    assert service["metadata"]["annotations"]["prometheus.io/path"] == "/des/metrics"
    [monitor] = documents["kubernetes/prometheus-operator/servicemonitor.yaml"]
    [endpoint] = monitor["spec"]["endpoints"]
    assert (endpoint["path"], endpoint["scheme"]) == ("/des/metrics", "https")
    assert endpoint["basicAuth"]["password"]["name"] == "des-exporter-login"


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        (None, [5432]),
        (RICH_CONFIG, [3307]),
        (SQLITE_CONFIG, []),
        (DASK_CONFIG.format("tcp://dask-scheduler:8790"), [5432, 8790]),
        (DASK_CONFIG.format("dask-scheduler"), [5432, 8786]),
        (DASK_CONFIG.format("tls://dask-scheduler"), [5432, 8786]),
        (OBJECT_CONFIG, [5432, 9000, 9091]),
        (
            OBJECT_CONFIG.replace("endpoint: http://minio.storage:9000", "region: eu"),
            [443, 5432, 9091],
        ),
    ],
)
def test_the_network_is_open_to_names_and_the_database_only(
    make: MakeDeployment, text: str | None, ports: list[int]
) -> None:
    policies = documents_of(render_all(make(text)))["kubernetes/networkpolicy.yaml"]
    egress = policies[0]["spec"]["egress"]
    found = [port["port"] for rule in egress for port in rule["ports"]]
    assert found == [53, 53, *ports]
    assert policies[0]["spec"]["ingress"] == []
    [rule] = policies[1]["spec"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == ["metrics"]


def test_the_image_has_dask_where_it_packs(make: MakeDeployment) -> None:
    assert "dask" not in render_all(make())["Containerfile"]
    with_dask = render_all(make(DASK_CONFIG.format("tcp://dask:8786")))["Containerfile"]
    assert "requirements/container-dask.lock" in with_dask


def test_the_command_of_the_guide_is_the_command_of_the_pod(make: MakeDeployment) -> None:
    [cron_job] = documents_of(render_all(make()))["kubernetes/cronjob.yaml"]
    [container] = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == [
        "python3",
        "-m",
        "watermark_orchestrator",
        "--config",
        "/config/watermark-migration-config.yaml",
        "--mode",
        "single",
    ]
