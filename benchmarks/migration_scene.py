"""What the benchmarks of the migrations share: servers, a filled `files`, the guide's SQL, a meter.

The servers are started here, on loopback, and sync to disk as one in production does.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from des_core.migration.base.migration import MigrationOptions
from des_core.settings.config import DatabaseSettings, PackerSettings, Settings
from support.servers.mysql import MySqlServer, find_mariadb
from support.servers.postgres import PostgresServer, find_postgres

Server = PostgresServer | MySqlServer

ARCHIVED_SHARE = 0.96
DROP = MigrationOptions(drop_archived=True, backup="a dump made before this benchmark")
# The defaults of PostgreSQL, but for autovacuum, whose log would be counted, too.
_POSTGRES = {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "128MB",
    "autovacuum": "off",
}
_MARIADB = {
    "innodb-flush-log-at-trx-commit": "1",
    "innodb-buffer-pool-size": "2G",
    "innodb-log-file-size": "2G",
    "innodb-online-alter-log-max-size": "512M",
}
# Rows of ten years up to two days ago, in the order of their keys; the newest are not archived.
_TABLE = {
    "postgres": "CREATE TABLE files (uid text PRIMARY KEY, created_at timestamptz NOT NULL,"
    " file_location text NOT NULL, size_bytes bigint, archived boolean NOT NULL DEFAULT false)",
    "mariadb": "CREATE TABLE files (uid varchar(255) PRIMARY KEY, created_at datetime(6) NOT NULL,"
    " file_location varchar(1024) NOT NULL, size_bytes bigint,"
    " archived boolean NOT NULL DEFAULT FALSE)",
}
_FILL = {
    "postgres": "INSERT INTO files SELECT 'file-' || i, now() - interval '2 days'"
    " - interval '1 second' * (315360000.0 * ({rows} - i) / {rows}),"
    " '/mnt/store/' || md5(i::text) || '.pdf', 1000 + i % 9000, i <= {archived}"
    " FROM generate_series(1, {rows}) AS i",
    "mariadb": "INSERT INTO files SELECT CONCAT('file-', seq), UTC_TIMESTAMP(6) - INTERVAL 2 DAY"
    " - INTERVAL (315360000.0 * ({rows} - seq) / {rows}) SECOND,"
    " CONCAT('/mnt/store/', MD5(seq), '.pdf'), 1000 + seq % 9000, seq <= {archived}"
    " FROM seq_1_to_{rows}",
}
_INDEX = {
    "postgres": "CREATE INDEX idx_files_created_archived ON files (created_at, archived)"
    " WHERE archived = FALSE",
    "mariadb": "CREATE INDEX idx_files_created_archived ON files (created_at, archived)",
}
# The guide's steps 2 and 3, and its rollback, as they stand there; MySQL has no partial index.
_GUIDE_UP = (
    "CREATE TABLE des_archive_config (id INTEGER PRIMARY KEY, archived_until {time} NOT NULL,"
    " lag_days INTEGER NOT NULL)",
    "INSERT INTO des_archive_config SELECT 1, MAX(created_at), 7 FROM files WHERE archived = true",
    "ALTER TABLE files DROP COLUMN archived",
    "DROP INDEX IF EXISTS idx_files_created_archived{on_files}",
    "CREATE INDEX idx_files_created_at ON files(created_at ASC)",
)
_GUIDE_DOWN = (
    "ALTER TABLE files ADD COLUMN archived BOOLEAN DEFAULT FALSE",
    "UPDATE files SET archived = TRUE WHERE created_at <="
    " (SELECT archived_until FROM des_archive_config WHERE id = 1)",
    "CREATE INDEX idx_files_created_archived ON files(created_at ASC, archived){partial}",
)
_WORDS = {
    "postgres": {"time": "timestamptz", "on_files": "", "partial": " WHERE archived = FALSE"},
    "mariadb": {"time": "datetime(6)", "on_files": " ON files", "partial": ""},
}


@dataclass
class Scene:
    """One server and what is measured on it."""

    kind: str
    server: Any

    def fill(self, rows: int, archived: int) -> str:
        """A database with `files`, vacuumed and checkpointed; its name."""
        name = self.server.create_database()
        values = {"rows": rows, "archived": archived}
        self.run(name, _TABLE[self.kind], _FILL[self.kind].format(**values), _INDEX[self.kind])
        self.settle(name)
        return name

    def copy(self, name: str) -> str:
        """A second database with the same rows."""
        if self.kind == "postgres":
            made: str = self.server.create_database(template=name)
        else:
            made = self.server.create_database()
            self.run(
                made, f"CREATE TABLE files LIKE `{name}`.files",
                f"INSERT INTO files SELECT * FROM `{name}`.files",
            )  # fmt: skip
        self.settle(made)
        return made

    def settle(self, name: str) -> None:
        """Nothing of the past may be paid for by what is measured next."""
        if self.kind == "postgres":
            self.run(name, "VACUUM ANALYZE files", "CHECKPOINT")
        else:
            self.run(name, "ANALYZE TABLE files", "SET GLOBAL innodb_max_dirty_pages_pct = 0")
            deadline = time.monotonic() + 60
            while self._status(name, "Innodb_buffer_pool_pages_dirty") > 100:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.2)
            self.run(name, "SET GLOBAL innodb_max_dirty_pages_pct = 90")

    def run(self, name: str, *statements: str) -> None:
        """Each statement committed by itself."""
        connection = self.connect(name)
        for statement in statements:
            cursor = connection.cursor()
            cursor.execute(statement)
            if cursor.description:
                cursor.fetchall()
        connection.close()

    def connect(self, name: str) -> Any:
        connection = self.server.connect(name)
        if self.kind == "postgres":
            connection.autocommit = True
        else:
            connection.autocommit(True)
        return connection

    def connector(self, name: str) -> Any:
        """For clients in processes of their own."""
        return partial(self.connect, name)

    def settings(self, name: str) -> Settings:
        return Settings(
            database=DatabaseSettings(url=SecretStr(self.server.url(name))),
            packer=PackerSettings(output_dir="/nowhere"),
        )

    def guide_up(self, name: str) -> None:
        self.run(name, *(text.format(**_WORDS[self.kind]) for text in _GUIDE_UP))

    def guide_down(self, name: str) -> None:
        self.run(name, *(text.format(**_WORDS[self.kind]) for text in _GUIDE_DOWN))

    def log_bytes(self, name: str) -> int:
        """How much write-ahead log the server has written since it was made."""
        if self.kind == "mariadb":
            return self._status(name, "Innodb_lsn_current")
        return int(self.value(name, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))

    def rows_written(self, name: str) -> int:
        """Rows of `files` updated so far; on MariaDB of all tables of the server."""
        if self.kind == "mariadb":
            return self._status(name, "Handler_update")
        sql = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'files'"
        time.sleep(1.2)  # the counters of a session arrive within a second of its end
        return int(self.value(name, sql))

    def table_bytes(self, name: str) -> int:
        if self.kind == "postgres":
            return int(self.value(name, "SELECT pg_total_relation_size('files')"))
        path = Path(self.server.data_dir) / name / "files.ibd"
        return path.stat().st_size

    def value(self, name: str, sql: str) -> Any:
        connection = self.connect(name)
        cursor = connection.cursor()
        cursor.execute(sql)
        [value] = cursor.fetchone()
        connection.close()
        return value

    def _status(self, name: str, variable: str) -> int:
        connection = self.connect(name)
        cursor = connection.cursor()
        cursor.execute("SHOW GLOBAL STATUS LIKE %s", (variable,))
        _name, value = cursor.fetchone()
        connection.close()
        return int(value)


@dataclass
class Cost:
    """What a piece of work took."""

    seconds: float = 0.0
    log_bytes: int = 0
    rows: int = 0


@contextmanager
def metered(scene: Scene, name: str) -> Iterator[Cost]:
    """Time, log and rows written while the block runs, filled in when it ends."""
    cost = Cost()
    rows, log = scene.rows_written(name), scene.log_bytes(name)
    began = time.perf_counter()
    yield cost
    cost.seconds = time.perf_counter() - began
    cost.log_bytes = scene.log_bytes(name) - log
    cost.rows = scene.rows_written(name) - rows


@contextmanager
def open_scenes(kinds: Sequence[str]) -> Iterator[Iterator[Scene]]:
    """One server after the other; those that are not installed are left out, and said so."""

    def scenes() -> Iterator[Scene]:
        for kind in kinds:
            binaries = find_postgres() if kind == "postgres" else find_mariadb()
            if binaries is None:
                print(f"left out: no {kind} server is installed", file=sys.stderr)
            elif kind == "postgres":
                with PostgresServer(binaries, _POSTGRES) as server:
                    print(f"PostgreSQL {server.version}")
                    yield Scene(kind, server)
            else:
                with MySqlServer(binaries, _MARIADB) as server:
                    print(f"MariaDB {server.version}")
                    yield Scene(kind, server)

    yield scenes()


def arguments(about: str | None, rows: int) -> argparse.Namespace:
    """`--rows` and `--server`, which every benchmark of the migrations takes."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=rows, help=f"rows of files (default {rows:,})")
    parser.add_argument("--server", choices=("postgres", "mariadb", "both"), default="both")
    chosen = parser.parse_args()
    chosen.servers = ["postgres", "mariadb"] if chosen.server == "both" else [chosen.server]
    return chosen


def mib(size_bytes: float) -> str:
    return f"{size_bytes / (1 << 20):,.1f} MiB"
