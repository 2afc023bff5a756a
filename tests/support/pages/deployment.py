"""Configurations to render, and what the rendered files hold."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from des_admin.deployment.options import Deployment

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
GUIDE_CONFIG = DEPLOY / "kubernetes" / "config" / "watermark-migration-config.yaml"
DEFAULTS = {
    "namespace": "data-archive",
    "image": "des-watermark:v1.0.0",
    "time_zone": "Etc/UTC",
    "monitoring_namespace": "monitoring",
    "runbook_url": "https://runbooks.example.org/des-admin/docs/runbook/alerts.md",
    "bin_dir": "/opt/des-admin/bin",
    "config_path": "/etc/des-admin/config.yaml",
    "user": "des",
    "exporter_port": 9190,
}
RICH_CONFIG = """
database:
  url: "mysql://${DB_USER}:${DB_PASSWORD}@${DB_HOST:db}:3307/archive"
  shards_total: 3
packer:
  output_dir: /data/des
  source_roots: [/srv/a, /srv/b]
metrics:
  enabled: true
  port: 9464
  path: /des/metrics
  tls_cert_file: /etc/tls/des/tls.crt
  tls_key_file: /etc/tls/des/tls.key
  username: prometheus
  password: "${METRICS_PASSWORD}"
  textfile: /var/lib/node_exporter/des.prom
watermark:
  config_db_url: "sqlite:////var/lib/des/config.sqlite"
migration:
  delete_source_files: true
backup:
  dir: /backups/des
logging:
  file: /var/log/des/watermark_migration.log
"""
SQLITE_CONFIG = """
database:
  url: "sqlite:////var/lib/app/app.sqlite"
packer:
  output_dir: /data/des
  source_roots: [/srv/a]
"""
OBJECT_CONFIG = """
database:
  url: "postgresql://${DB_USER}:${DB_PASSWORD}@db/archive"
packer:
  output_dir: s3://archive/shards
  source_roots: [s3://documents, /mnt/old]
  scratch_dir: /var/lib/des/drafts
  object_store:
    endpoint: http://minio.storage:9000
metrics:
  pushgateway_url: "http://pusher:${PUSH_PASSWORD}@gateway.monitoring:9091"
"""
ODD_CONFIG = """
database:
  url: "sqlite:////data/des archive/../app x/app.sqlite"
packer:
  output_dir: "/data/des archive/"
  source_roots: ["/srv//żółć/", '/srv/"quoted"\\100%']
metrics:
  textfile: /tmp/des.prom
backup:
  dir: "/data/des archive"
logging:
  file: "/data/des archive/logs/run.log"
"""

CONFIGS = {
    "guide": None,
    "rich": RICH_CONFIG,
    "sqlite": SQLITE_CONFIG,
    "objects": OBJECT_CONFIG,
    "odd": ODD_CONFIG,
}

Documents = dict[str, list[dict[str, Any]]]
MakeDeployment = Callable[..., Deployment]


def documents_of(texts: Mapping[str, str]) -> Documents:
    """The Kubernetes objects among rendered files, by path."""
    return {
        name: [each for each in yaml.safe_load_all(text) if each]
        for name, text in texts.items()
        if name.startswith("kubernetes/") and not name.endswith("-config.yaml")
    }
