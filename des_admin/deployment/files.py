"""All files for one configuration, and how they get into a directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from des_admin.deployment.kubernetes import render_kubernetes
from des_admin.deployment.options import Deployment
from des_admin.deployment.prometheus import (
    render_grafana,
    render_prometheus,
    render_rule_object,
)
from des_admin.deployment.systemd import render_systemd
from des_admin.deployment.written_secrets import find_written_secret
from des_core.basics.errors import Refused, UsageError
from des_core.basics.resources import resource_dir
from des_core.basics.wording import numbered

LOCK = "container.lock"  # of the libraries that the Containerfile installs
LOCK_WITH_DASK = "container-dask.lock"

OPERATOR = "prometheus-operator"


@dataclass(frozen=True, slots=True)
class RenderPlan:
    """What would be written: texts by path, which of them are there and differ, and warnings."""

    directory: Path
    texts: dict[str, str]
    changed: tuple[str, ...]
    warnings: tuple[str, ...]


def render_all(deployment: Deployment) -> dict[str, str]:
    """Texts by path, all below one directory."""
    kubernetes = render_kubernetes(deployment)
    kubernetes[f"{OPERATOR}/prometheusrule.yaml"] = render_rule_object(deployment)
    monitor = f"{OPERATOR}/kustomization.yaml"
    kubernetes[monitor] = kubernetes[monitor].rstrip("\n") + "\n  - prometheusrule.yaml\n"
    folders = {
        "kubernetes": kubernetes,
        "prometheus": render_prometheus(deployment),
        "grafana": render_grafana(deployment),
        "systemd": render_systemd(deployment),
    }
    texts = {
        f"{folder}/{name}": text
        for folder, files in folders.items()
        for name, text in files.items()
    }
    texts["Containerfile"] = _containerfile(deployment)
    return dict(sorted(texts.items()))


def _containerfile(deployment: Deployment) -> str:
    """The image, with Dask in it where the configuration names a scheduler."""
    text = (resource_dir("deploy") / "Containerfile").read_text(encoding="utf-8")
    if deployment.settings.packer.scheduler is None:
        return text
    return text.replace(LOCK, LOCK_WITH_DASK)


def plan_render(deployment: Deployment, directory: Path) -> RenderPlan:
    """What to write where; Refused where a secret would get into a file."""
    _refuse_secrets(deployment)
    texts = render_all(deployment)
    changed = tuple(
        name
        for name, text in texts.items()
        if (directory / name).exists() and (directory / name).read_text(encoding="utf-8") != text
    )
    return RenderPlan(directory, texts, changed, _warnings(deployment))


def write_render(plan: RenderPlan, *, force: bool = False) -> None:
    """Write the files of a plan; Refused where others are there, unless `force`."""
    if plan.changed and not force:
        raise Refused(
            f"{numbered(len(plan.changed), 'file')} there already, which differ: nothing written",
            hint="look at them with --dry-run, then use --force or another --to",
            first=str(plan.directory / plan.changed[0]),
        )
    for name, text in plan.texts.items():
        path = plan.directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as exc:
            raise UsageError(
                f"a file cannot be written: {exc.strerror}", hint="choose another --to", path=path
            ) from exc


def _refuse_secrets(deployment: Deployment) -> None:
    where = find_written_secret(
        deployment.settings, deployment.known_values, deployment.config_text
    )
    if where is not None:
        raise Refused(
            "a password stands in the configuration itself; it would get into a config map",
            hint="write ${DB_PASSWORD} there, also in comments, and keep the password in a secret",
            where=where,
        )


def _warnings(deployment: Deployment) -> tuple[str, ...]:
    settings = deployment.settings
    found = []
    if not settings.packer.source_roots:
        found.append(
            "packer.source_roots is not set: no volume with the source files is mounted, and pods "
            "would find none of them"
        )
    if settings.metrics.textfile is not None:
        found.append("metrics.textfile lies in a directory that ends with the pod")
    if settings.logging.file is not None:
        found.append("logging.file lies in a directory that ends with the pod; stderr is collected")
    return tuple(found)
