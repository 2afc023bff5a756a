"""From the paths of a configuration to volumes: odd, impossible, and in object stores."""

from typing import Any

import pytest

from des_admin.deployment.files import render_all
from des_admin.deployment.mounts import Kind, Role, mounts_for
from des_core.basics.errors import ConfigError
from support.pages.deployment import OBJECT_CONFIG, ODD_CONFIG, MakeDeployment, documents_of

PLAIN = """
database:
  url: "postgresql://${DB_USER}:${DB_PASSWORD}@db/archive"
packer:
  output_dir: /data/des
"""


def places(make: MakeDeployment, text: str, role: Role) -> dict[str, tuple[Kind, bool]]:
    mounts = mounts_for(make(text).settings, role)
    return {mount.path: (mount.kind, mount.read_only) for mount in mounts}


def test_odd_paths_are_mounted_where_the_program_looks_for_them(make: MakeDeployment) -> None:
    assert places(make, ODD_CONFIG, Role.RUNNER) == {
        "/data/des archive": (Kind.CLAIM, False),
        "/srv/żółć": (Kind.CLAIM, True),
        '/srv/"quoted"\\100%': (Kind.CLAIM, True),
        "/data/app x": (Kind.CLAIM, False),
    }


def test_a_log_in_a_volume_that_cannot_be_written_needs_one_of_its_own(
    make: MakeDeployment,
) -> None:
    assert places(make, ODD_CONFIG, Role.EXPORTER) == {
        "/data/des archive": (Kind.CLAIM, True),
        "/data/app x": (Kind.CLAIM, False),
        "/data/des archive/logs": (Kind.SCRATCH, False),
    }


def test_nothing_is_mounted_for_what_is_in_an_object_store(make: MakeDeployment) -> None:
    assert places(make, OBJECT_CONFIG, Role.RUNNER) == {
        "/mnt/old": (Kind.CLAIM, True),
        "/var/lib/des/drafts": (Kind.SCRATCH, False),
    }
    assert places(make, OBJECT_CONFIG, Role.EXPORTER) == {}


def test_the_runner_gets_the_keys_of_the_object_store(make: MakeDeployment) -> None:
    texts = render_all(make(OBJECT_CONFIG))
    documents = documents_of(texts)
    given: dict[str, Any] = {}
    [cron_job] = documents["kubernetes/cronjob.yaml"]
    pod = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    given["runner"] = pod["containers"][0].get("envFrom")
    [exporter, _] = documents["kubernetes/exporter.yaml"]
    given["exporter"] = exporter["spec"]["template"]["spec"]["containers"][0].get("envFrom")
    secret = {"secretRef": {"name": "des-object-store", "optional": True}}
    assert given == {"runner": [secret], "exporter": None}
    runner = texts["systemd/des-watermark-migration.service"]
    assert "\nEnvironmentFile=-/etc/des-admin/object-store.env\n" in runner
    assert "EnvironmentFile" not in texts["systemd/des-exporter.service"]


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("packer.output_dir", "/data/des", "shards"),
        ("packer.output_dir", "/data/des", "/"),
        ("packer.output_dir", "/data/des", "//"),
        ("packer.output_dir", "/data/des", "/data/.."),
        ("packer.output_dir", "/data/des", "/tmp"),
        ("packer.output_dir", "/data/des", "/config/shards"),
        ("packer.output_dir", "/data/des", "/opt"),
        ("packer.output_dir", "/data/des", "/opt/des-admin/"),
        ("packer.output_dir", "/data/des", '"/data/a:b"'),
        ("packer.output_dir", "/data/des", '"/data/a\\nUser=root"'),
        ("database.url", '"postgresql://${DB_USER}:${DB_PASSWORD}@db/archive"', "sqlite:///a.db"),
        ("database.url", '"postgresql://${DB_USER}:${DB_PASSWORD}@db/archive"', "sqlite:////a.db"),
        ("logging.file", "packer:", "logging:\n  file: run.log\npacker:"),
        ("logging.file", "packer:", 'logging:\n  file: "/var/log/a\\n}/run.log"\npacker:'),
        ("metrics.textfile", "packer:", "metrics:\n  textfile: /etc/des.prom\npacker:"),
        ("packer.source_roots", "packer:", "packer:\n  source_roots: [/srv/a, files]"),
    ],
)
def test_what_cannot_be_mounted_is_refused_by_its_key(
    make: MakeDeployment, key: str, old: str, new: str
) -> None:
    assert old in PLAIN
    with pytest.raises(ConfigError, match=rf"^{key} "):
        render_all(make(PLAIN.replace(old, new)))


def test_a_port_that_is_not_known_is_asked_for(make: MakeDeployment) -> None:
    text = OBJECT_CONFIG.replace(":9091", ":${GATEWAY_PORT}")
    with pytest.raises(ConfigError, match=r"metrics\.pushgateway_url"):
        render_all(make(text))
    assert render_all(make(text.replace("${GATEWAY_PORT}", "${GATEWAY_PORT:9091}")))
