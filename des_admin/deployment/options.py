"""What `deploy render` was asked for, beyond the configuration itself."""

from __future__ import annotations

from dataclasses import dataclass

from des_admin.deployment.mounts import Credential
from des_admin.deployment.schedule import Schedule
from des_core.settings.config import Settings

CONFIG_NAME = "watermark-migration-config.yaml"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One configuration and where it is to run. `config_text` is the file, without any secret.

    `known_values` are what its variables stood for when it was read, and so not in the file.
    `bin_dir` and `config_path` are for machines without Kubernetes.
    """

    settings: Settings
    config_text: str
    credentials: tuple[Credential, ...]
    schedule: Schedule
    known_values: frozenset[str] = frozenset()
    namespace: str = "data-archive"
    image: str = "des-watermark:v1.0.0"
    time_zone: str = "Etc/UTC"
    monitoring_namespace: str = "monitoring"
    runbook_url: str = "RUNBOOK.md"
    bin_dir: str = "/opt/des-admin/bin"
    config_path: str = "/etc/des-admin/config.yaml"
    user: str = "des"
    exporter_port: int = 9190

    @property
    def scheme(self) -> str:
        """How the exporter is reached."""
        return "http" if self.settings.metrics.tls_cert_file is None else "https"
