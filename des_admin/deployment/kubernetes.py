"""The manifests of deploy/kubernetes for one configuration.

They are read as data, changed where the configuration says something, and written again; the
reasons for what is in them stand as comments in the originals.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from des_admin.deployment.mounts import Kind, Mount, Role, mounts_for, object_places
from des_admin.deployment.options import CONFIG_NAME, Deployment
from des_core.basics.database_urls import parse_url
from des_core.basics.errors import ConfigError
from des_core.basics.resources import resource_dir

Json = dict[str, Any]
LONGEST_START_DELAY_S = 1800
DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
KNOWN_PORTS = {"http": 80, "https": 443, "tcp": 8786, "tls": 8786}  # Dask's are tcp and tls
OBJECT_STORE_SECRET = "des-object-store"  # noqa: S105 - the name of a Secret
SECRET_MODE = 0o440
BACKUP_CHECK = "backup-check.yaml"
_ROLES = {
    "watermark-migration": Role.RUNNER,
    "exporter": Role.EXPORTER,
    "migrate": Role.MIGRATE,
    "backup-check": Role.BACKUP,
    "compliance-sync": Role.COMPLIANCE,
}


def render_kubernetes(deployment: Deployment) -> dict[str, str]:
    """Texts by path below `kubernetes/`."""
    root = resource_dir("deploy") / "kubernetes"
    files = {CONFIG_NAME: deployment.config_text}
    for path in sorted(root.rglob("*.yaml")):
        name = str(path.relative_to(root))
        if name == CONFIG_NAME or _is_left_out(name, deployment):
            continue
        documents = [_changed(document, deployment) for document in load_documents(path)]
        files[name] = dump_documents(documents)
    return files


def load_documents(path: Path) -> list[Json]:
    """All documents of a YAML file."""
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def dump_documents(documents: list[Json]) -> str:
    """YAML without aliases, keys in the order that they have."""
    return yaml.dump_all(documents, Dumper=_PlainDumper, sort_keys=False, width=1000)


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Labels that several objects share are written out in each."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists below their key, as the originals do."""
        super().increase_indent(flow, False)


def _workers(deployment: Deployment) -> int:
    return deployment.settings.database.shards_total or 1


def _is_left_out(name: str, deployment: Deployment) -> bool:
    if name == BACKUP_CHECK:
        return deployment.settings.backup.dir is None
    return name.startswith("workers/") and _workers(deployment) == 1


def _changed(document: Json, deployment: Deployment) -> Json:
    change = _CHANGES.get(document["kind"])
    if "namespace" in document.get("metadata", {}):
        document["metadata"]["namespace"] = deployment.namespace
    if change is not None:
        change(document, deployment)
    return document


def _change_kustomization(document: Json, deployment: Deployment) -> None:
    document["namespace"] = deployment.namespace
    resources = document.get("resources", [])
    if "exporter.yaml" not in resources:
        return
    if _workers(deployment) > 1:
        resources[resources.index("cronjob.yaml")] = "workers"
    if deployment.settings.backup.dir is not None:
        resources.append(BACKUP_CHECK)


def _change_cron_job(document: Json, deployment: Deployment) -> None:
    spec = document["spec"]
    spec["timeZone"] = deployment.time_zone
    job = spec["jobTemplate"]["spec"]
    if _ROLES[job["template"]["spec"]["containers"][0]["name"]] is Role.RUNNER:
        spec["schedule"] = deployment.schedule.text
        half_a_period = deployment.schedule.shortest_gap_s // 2
        spec["startingDeadlineSeconds"] = min(LONGEST_START_DELAY_S, half_a_period)
    if job.get("completionMode") == "Indexed":
        job["completions"] = job["parallelism"] = _workers(deployment)
    _change_pod(job["template"]["spec"], deployment)


def _change_workload(document: Json, deployment: Deployment) -> None:
    _change_pod(document["spec"]["template"]["spec"], deployment)


def _change_pod(pod: Json, deployment: Deployment) -> None:
    [container] = pod["containers"]
    role = _ROLES[container["name"]]
    container["image"] = deployment.image
    kept = [each for each in container["env"] if not each["name"].endswith("_FILE")]
    for each in kept:
        if each["name"] == "DES_ADMIN__DATABASE__SHARDS_TOTAL":
            each["value"] = str(_workers(deployment))
    container["env"] = [
        {"name": f"{each.variable}_FILE", "value": f"/secrets/{each.key}"}
        for each in sorted(deployment.credentials, key=lambda each: each.variable, reverse=True)
    ] + kept
    _change_volumes(pod, container, deployment, role)
    if role is Role.RUNNER and object_places(deployment.settings):
        # Optional: a pod may have its credentials from the cloud's own identity instead.
        secret = {"name": OBJECT_STORE_SECRET, "optional": True}
        container["envFrom"] = [{"secretRef": secret}]
    if role is Role.EXPORTER:
        _change_exporter(container, deployment)


def _change_volumes(pod: Json, container: Json, deployment: Deployment, role: Role) -> None:
    own = {"config", "scratch"} | ({"credentials"} if deployment.credentials else set())
    mounts = mounts_for(deployment.settings, role)
    names: dict[str, int] = {}
    container["volumeMounts"] = [e for e in container["volumeMounts"] if e["name"] in own]
    pod["volumes"] = [each for each in pod["volumes"] if each["name"] in own]
    for volume in pod["volumes"]:
        if "secret" in volume:
            keys = sorted(deployment.credentials, key=lambda each: each.variable, reverse=True)
            volume["secret"]["items"] = [{"key": each.key, "path": each.key} for each in keys]
    for mount in mounts:
        names[mount.name] = names.get(mount.name, 0) + 1
        suffix = f"-{names[mount.name]}" if names[mount.name] > 1 else ""
        name = mount.name + suffix
        entry: Json = {"name": name, "mountPath": mount.path}
        container["volumeMounts"].append(entry | ({"readOnly": True} if mount.read_only else {}))
        pod["volumes"].append({"name": name, **_volume(mount, suffix, role)})


def _volume(mount: Mount, suffix: str, role: Role) -> Json:
    if mount.kind is Kind.SCRATCH:
        return {"emptyDir": {}}
    if mount.kind is Kind.SECRET:
        return {"secret": {"secretName": mount.source, "defaultMode": SECRET_MODE}}
    claim: Json = {"claimName": mount.source.removesuffix("-pvc") + suffix + "-pvc"}
    if mount.read_only and role is not Role.RUNNER:
        claim["readOnly"] = True
    return {"persistentVolumeClaim": claim}


def _change_exporter(container: Json, deployment: Deployment) -> None:
    port = _port(deployment)
    container["command"][-1] = str(port)
    container["ports"][0]["containerPort"] = port
    for probe in ("readinessProbe", "livenessProbe"):
        container[probe]["httpGet"]["scheme"] = deployment.scheme.upper()


def _change_service(document: Json, deployment: Deployment) -> None:
    port = _port(deployment)
    document["spec"]["ports"][0]["port"] = port
    document["metadata"]["annotations"] |= {
        "prometheus.io/path": deployment.settings.metrics.path,
        "prometheus.io/port": str(port),
        "prometheus.io/scheme": deployment.scheme,
    }


def _change_monitor(document: Json, deployment: Deployment) -> None:
    metrics = deployment.settings.metrics
    [endpoint] = document["spec"]["endpoints"]
    endpoint |= {"path": metrics.path, "scheme": deployment.scheme}
    if metrics.username is not None:
        secret = "des-exporter-login"  # noqa: S105 - the name of a Secret
        endpoint["basicAuth"] = {
            "username": {"name": secret, "key": "username"},
            "password": {"name": secret, "key": "password"},
        }


def _change_policy(document: Json, deployment: Deployment) -> None:
    spec = document["spec"]
    if "egress" in spec:
        ports = _outgoing_ports(deployment)
        spec["egress"] = spec["egress"][:1]
        if ports:
            spec["egress"].append({"ports": [{"port": p, "protocol": "TCP"} for p in ports]})
    for rule in spec.get("ingress", []):
        for peer in rule["from"]:
            labels = peer["namespaceSelector"]["matchLabels"]
            labels["kubernetes.io/metadata.name"] = deployment.monitoring_namespace


def _outgoing_ports(deployment: Deployment) -> list[int]:
    settings = deployment.settings
    urls = [parse_url(text) for text in (settings.source_url, settings.config_url)]
    ports = {
        url.port or DEFAULT_PORTS[url.get_backend_name()]
        for url in urls
        if url.get_backend_name() in DEFAULT_PORTS
    }
    if object_places(settings):
        endpoint = settings.packer.object_store.endpoint or "https://"
        ports.add(_port_of("packer.object_store.endpoint", endpoint, "http"))
    gateway = settings.metrics.pushgateway_url
    if gateway is not None:
        ports.add(_port_of("metrics.pushgateway_url", gateway.get_secret_value(), "http"))
    scheduler = settings.packer.scheduler
    if scheduler is not None:
        ports.add(_port_of("packer.scheduler", scheduler, "tcp"))
    return sorted(ports)


def _port_of(key: str, url: str, scheme: str) -> int:
    """The port of a URL; without a scheme, the client takes it for one of `scheme`."""
    parts = urlsplit(url if "://" in url else f"{scheme}://{url}")
    try:
        return parts.port or KNOWN_PORTS.get(parts.scheme, KNOWN_PORTS["https"])
    except ValueError as exc:
        raise ConfigError(
            f"{key} has no port that a network policy could name",
            hint="write it out, or give its variable a default: ${PORT:9091}",
        ) from exc


def _port(deployment: Deployment) -> int:
    return deployment.settings.metrics.port or 9090


_CHANGES = {
    "Kustomization": _change_kustomization,
    "CronJob": _change_cron_job,
    "Job": _change_workload,
    "Deployment": _change_workload,
    "Service": _change_service,
    "ServiceMonitor": _change_monitor,
    "NetworkPolicy": _change_policy,
}
