"""`des-admin deploy render`: what runs and watches an archive, for one configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from des_admin.context import Context
from des_admin.help_text import examples

if TYPE_CHECKING:
    from rich.console import Console

    from des_admin.deployment.files import RenderPlan

app = typer.Typer(no_args_is_help=True, help="Write the files that run and watch an archive.")

Directory = Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")]
Namespace = Annotated[str, typer.Option(help="The namespace of every Kubernetes object.")]
Image = Annotated[
    str | None,
    typer.Option(
        help="The image, as built from the Containerfile.",
        show_default="des-watermark:v and this program's version",
    ),
]
Cron = Annotated[str, typer.Option(metavar="CRON", help="When a cycle starts, in five fields.")]
Zone = Annotated[str, typer.Option(metavar="ZONE", help="The time zone of the schedule.")]
Monitoring = Annotated[str, typer.Option(help="The namespace from which Prometheus may scrape.")]
Runbook = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where the alerts link to, without the #anchor.",
        show_default="metrics.runbook_url",
    ),
]
BinDir = Annotated[
    str, typer.Option(metavar="DIR", help="Where des-admin is installed, for systemd.")
]
ConfigPath = Annotated[
    str, typer.Option(metavar="FILE", help="Where the configuration will lie, for systemd.")
]
User = Annotated[str, typer.Option(help="The user of the systemd units.")]
Port = Annotated[
    int, typer.Option(min=1, max=65_535, help="The exporter's port beside a runner (systemd).")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that are there and differ.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Name the files; write nothing.")]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="deploy")


@app.command(
    epilog=examples(
        "des-admin deploy render --to deploy-files "
        "--runbook-url https://wiki.example.org/runbook/alerts.md",
        'des-admin deploy render --to deploy-files --schedule "*/15 * * * *" --image r/des:2.0',
        "kubectl apply -k deploy-files/kubernetes/migrate",
        "kubectl apply -k deploy-files/kubernetes",
    )
)
def render(
    ctx: typer.Context,
    to: Directory,
    namespace: Namespace = "data-archive",
    image: Image = None,
    schedule: Cron = "0 * * * *",
    time_zone: Zone = "Etc/UTC",
    monitoring_namespace: Monitoring = "monitoring",
    runbook_url: Runbook = None,
    bin_dir: BinDir = "/opt/des-admin/bin",
    config_path: ConfigPath = "/etc/des-admin/config.yaml",
    user: User = "des",
    exporter_port: Port = 9190,
    force: Force = False,
    dry_run: DryRun = False,
) -> None:
    """Write Kubernetes, Prometheus, Grafana and systemd files for this configuration.

    Every path of the configuration gets its mount, every ${VARIABLE} its secret. Variables that
    are not set here do not matter: no secret is needed, and none is written.
    """
    from des_admin.deployment.files import plan_render, write_render
    from des_admin.deployment.options import DEFAULT_IMAGE
    from des_admin.deployment.request import make_deployment

    context = Context.of(ctx)
    options: dict[str, Any] = {
        "namespace": namespace,
        "image": image or DEFAULT_IMAGE,
        "time_zone": time_zone,
        "monitoring_namespace": monitoring_namespace,
        "runbook_url": runbook_url,
        "bin_dir": bin_dir,
        "config_path": config_path,
        "user": user,
        "exporter_port": exporter_port,
    }
    profile = context.options.profile
    deployment = make_deployment(context.config_path, profile, context.env, schedule, options)
    plan = plan_render(deployment, to)
    for warning in plan.warnings:
        context.warn(warning)
    if not dry_run:
        write_render(plan, force=force)
    _show(context, plan, written=not dry_run)


def _show(context: Context, plan: RenderPlan, *, written: bool) -> None:
    def draw(out: Console) -> None:
        for name in plan.texts:
            mark = " (differs)" if name in plan.changed else ""
            out.print(f"{plan.directory / name}{mark}")

    payload = {
        "directory": str(plan.directory),
        "files": list(plan.texts),
        "changed": list(plan.changed),
        "warnings": list(plan.warnings),
        "written": written,
    }
    context.emit("deploy-render", payload, draw)
