"""The configuration file as `init` writes it: what one must decide, and the rest as comments."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from des_core.basics.errors import UsageError
from des_core.packer_planner import ALREADY_COMPRESSED

if TYPE_CHECKING:
    from des_admin.config_questions import Answers

_TEMPLATE = """\
# Configuration of des-admin. Check it: des-admin config show, then: des-admin doctor
# ${VARIABLE} is taken from the environment (or from the file that VARIABLE_FILE names).
# Keys behind a # show their defaults. What each means: docs/configuration.md

database:
  # The database with one row per stored file.
  url: @url@
  table_name: @table@
  # schema: null
  # uid_column: uid
  # created_at_column: created_at
  # location_column: file_location
  # size_column: size_bytes         # null if there is none
  # archived_column: archived       # the per-record flag, while there is one
  # timezone: UTC                   # what a created_at without a zone means
  lag_days: @lag_days@                       # files newer than this are not packed yet
  # page_size: 10000
  # shard_id: null                  # this sharded worker, 0 .. shards_total - 1
  # shards_total: null

packer:
  # Where the shards go: one file system with room for the archive, or s3://bucket/prefix.
  output_dir: @output_dir@
  # max_shard_size: 1000000000
  # n_bits: 8                       # 2**n_bits buckets; it cannot be changed after the first cycle
  # workers: null                   # processes; null is one per core
  # engine: local                   # or dask, with the address of its scheduler
  # scheduler: null
  # scheduler_without_tls: false
  # read_concurrency: 64
  # Where source files lie: nothing outside is packed. As root it must be set; ["/"] is anywhere.
  @source_roots@
  # adoption_check: all             # or sample: of a shard that a run left, compared with sources
  # scratch_dir: null               # for shards on their way to a bucket; null is TMPDIR
  # big_file_threshold: 10485760
  # skip_extensions: @skip@
  # compression:
  #   enabled: true
  #   codec: zstd
  #   level: 3
  #   dictionary: false              # true: small files share a dictionary; old readers cannot
  # object_store:
  #   endpoint: null
  #   region: null
  #   allow_http: false
  #   virtual_hosted: false
  #   requests_in_flight: 64
  #   timeout: 30s
  #   retry_for: 120s
  #   single_put: 67108864

watermark:
  # Where the watermark and the ledger live; without it, in the database above.
  @config_line@
  # default_archived_until: null    # where to begin if nothing is archived: "2024-11-01T00:00:00Z"
  # slice: day                      # day, hour or cycle: what is packed and committed at once
  # recheck_days: 3

# migration:
#   url: null                       # the database past a pooler: migrations, backups need it
#   lock_timeout: 1s                # how long a live writer may have to wait for us
#   delete_source_files: false
#   grace_days: 30
#   max_failures: 100000            # in one slice; more, and the cycle stops
#   max_failure_ratio: 0.5          # of what a cycle tried, from 100 failures on; 1 is no brake
#   max_captured: 100000
#   new_exceptions_exit_code: 3     # or 0, for a scheduler that takes 3 for a failure

# metrics:
#   enabled: false
#   host: 127.0.0.1
#   port: 9090
#   path: /metrics
#   tls_cert_file: null
#   tls_key_file: null
#   tls_client_ca_file: null
#   username: null
#   password: null
#   textfile: null
#   pushgateway_url: null
#   runbook_url: null               # where alerts link to; `deploy render` wants it

# backup:
#   dir: null                       # where `backup create` puts them; not on the database's disk
#   max_age_hours: 24               # how fresh one must be before the column archived may go
#   scratch_url: null               # a server for `backup check --deep` to restore on

# logging:
#   file: null                      # null is standard error
#   format: text                    # text, keyvalue or json
"""


def render_config(answers: Answers) -> str:
    """The file's text. Values are JSON strings, which YAML reads as they are."""
    config_line = (
        "# config_db_url: null"
        if answers.config_url is None
        else f"config_db_url: {json.dumps(answers.config_url)}"
    )
    roots_line = (
        f"source_roots: {json.dumps(list(answers.source_roots))}"
        if answers.source_roots
        else "# source_roots: []"
    )
    values = {
        "@url@": json.dumps(answers.url),
        "@table@": json.dumps(answers.table),
        "@lag_days@": str(answers.lag_days),
        "@output_dir@": json.dumps(str(answers.output_dir)),
        "@config_line@": config_line,
        "@source_roots@": roots_line,
        "@skip@": f"[{', '.join(sorted(ALREADY_COMPRESSED))}]",
    }
    text = _TEMPLATE
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text


def write_config(path: Path, text: str) -> None:
    """Write the file at once or not at all; readable by its owner and group only."""
    try:
        with NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).chmod(0o640)
        Path(file.name).replace(path)
    except OSError as exc:
        raise UsageError(f"the file cannot be written: {exc.strerror}", file=str(path)) from exc
