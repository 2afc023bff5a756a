"""What `deploy render` was asked for, beyond the configuration itself."""

from __future__ import annotations

from dataclasses import dataclass

from des_admin.deployment.mounts import Credential
from des_admin.deployment.schedule import Schedule
from des_core import __version__
from des_core.settings.config import Settings

DEFAULT_IMAGE = f"des-watermark:v{__version__}"
CONFIG_NAME = "config/watermark-migration-config.yaml"


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
    runbook_url: str
    known_values: frozenset[str] = frozenset()
    namespace: str = "data-archive"
    image: str = DEFAULT_IMAGE
    time_zone: str = "Etc/UTC"
    monitoring_namespace: str = "monitoring"
    bin_dir: str = "/opt/des-admin/bin"
    config_path: str = "/etc/des-admin/config.yaml"
    user: str = "des"
    exporter_port: int = 9190

    @property
    def scheme(self) -> str:
        """How the exporter is reached."""
        return "http" if self.settings.metrics.tls_cert_file is None else "https"
