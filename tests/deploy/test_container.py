"""The container without an engine: same files, same user, same commands, read-only root."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from des_admin.deployment.files import render_all
from des_admin.deployment.request import make_deployment
from support.crash.truth import check_truth
from support.pages.deployment import DEFAULTS, DEPLOY
from support.pages.rootfs import PREFIX, USER_ID, Pod, install_image, require_namespaces
from support.program.archive import make_settings
from support.program.runner import write_config
from support.rows.filesdata import FilesTable, FilesTableFactory
from support.servers.database import TestDatabase

pytestmark = pytest.mark.slow
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()


def image_environment() -> dict[str, str]:
    """The variables of the image."""
    final = CONTAINERFILE.rpartition("FROM ")[2]
    return dict(re.findall(r"(\w+)=(\S+)", final[final.index("ENV ") : final.index("USER ")]))


def test_the_image_is_small_and_runs_as_nobody_in_particular() -> None:
    assert re.findall(r"^FROM (\S+)", CONTAINERFILE, re.M) == ["${BASE}", "${BASE}"]
    [base] = re.findall(r"^ARG BASE=(\S+)", CONTAINERFILE, re.M)
    assert base.endswith("-slim")
    final = CONTAINERFILE.rpartition("FROM ")[2]
    assert f"USER {USER_ID}:{USER_ID}" in final
    assert f"COPY --from=build {PREFIX} {PREFIX}" in final
    assert 'ENTRYPOINT ["des-admin"]' in final
    assert image_environment()["PATH"].startswith(f"{PREFIX}/bin:")
    assert "pip uninstall" in CONTAINERFILE


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_namespaces()
    return install_image(tmp_path_factory.mktemp("image"))


class Cluster:
    """An archive on SQLite, and pods that see no more of it than their mounts."""

    def __init__(self, image: Path, directory: Path, table: FilesTable) -> None:
        self.image, self.directory, self.table = image, directory, table
        self.output, database = directory / "output", Path(table.database.path or "")
        self.data = directory / "data"
        self.data.mkdir()
        shutil.move(database, self.data / database.name)
        settings = make_settings(
            table.database,
            self.output,
            database={"url": "sqlite:////data/app.sqlite"},
            packer={"output_dir": "/mnt/des/output", "source_roots": [str(table.root)]},
        )
        (self.data / database.name).rename(self.data / "app.sqlite")
        config = write_config(settings, directory / "config.yaml")
        self.texts = render_all(make_deployment(config, None, {}, "0 * * * *", DEFAULTS))
        (directory / "mounted").mkdir()
        shutil.copy(config, directory / "mounted" / "watermark-migration-config.yaml")
        for path in (self.output, self.data, *self.data.iterdir()):
            os.chown(path, USER_ID, USER_ID)

    def pod(self, name: str) -> Pod:
        [each, *_] = yaml.safe_load_all(self.texts[f"kubernetes/{name}"])
        spec = each["spec"]
        spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
        behind = {
            "/config": self.directory / "mounted",
            "/data": self.data,
            "/mnt/des/output": self.output,
            str(self.table.root): self.table.root,
        }
        return Pod(spec["template"]["spec"], self.image, behind, image_environment())


@pytest.fixture
def cluster(
    image: Path,
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
    tmp_path: Path,
) -> Cluster:
    database = make_database("sqlite")
    return Cluster(image, tmp_path, files_table(database, rows=120, days=12, archived_days=4))


def test_pods_do_their_work_with_what_is_mounted(cluster: Cluster, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    runner = cluster.pod("cronjob.yaml")

    shown = runner.run("des-admin", "--version", root=root)
    assert (shown.returncode, shown.stderr) == (0, "")
    who = runner.run("python3", "-c", "import os; print(os.getuid(), os.getgid())", root=root)
    assert who.stdout.split() == [str(USER_ID), str(USER_ID)]
    for path in ("/x", f"{PREFIX}/x", "/config/x", f"{cluster.table.root}/x"):
        assert runner.run("touch", path, root=root).returncode != 0, path
    for path in ("/tmp/x", "/mnt/des/output/.x"):
        assert runner.run("touch", path, root=root).returncode == 0, path

    render = ("deploy", "render", "--to", "/tmp/rendered", "--runbook-url", "https://r.example")
    path = "/config/watermark-migration-config.yaml"
    rendered = runner.run("des-admin", "--config", path, *render, root=root)
    assert "/tmp/rendered/kubernetes/cronjob.yaml" in rendered.stdout, rendered.stderr

    before = runner.run(root=root)
    assert before.returncode == 12, "the schema is not there yet"
    migrated = cluster.pod("migrate/job.yaml").run(root=root)
    assert migrated.returncode == 0, migrated.stderr
    done = runner.run(root=root)
    assert done.returncode == 0, done.stderr

    exporter = cluster.pod("exporter.yaml")
    [container] = exporter.spec["containers"]
    assert container["command"][:1] == ["des-admin"]
    scraped = exporter.run(*container["command"], "--once", root=root)
    assert scraped.returncode == 0, scraped.stderr
    assert "des_migration_pending_files 0.0" in scraped.stdout
    assert 'des_volume_free_bytes{volume="output"}' in scraped.stdout
    assert exporter.run("touch", "/mnt/des/output/x", root=root).returncode != 0

    database = cluster.table.database
    database.url = f"sqlite:///{cluster.data / 'app.sqlite'}"
    assert check_truth(cluster.table, database, cluster.output) == {}
