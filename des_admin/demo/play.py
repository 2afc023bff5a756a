"""The play: from per-record mode to the watermark, and back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from des_admin.demo import material
from des_admin.demo.proof import Proof, prove, read_truth
from des_admin.demo.stage import Stage, Step
from des_core.basics.errors import DamagedData
from des_core.basics.wording import numbered
from des_core.settings.config_file import load_settings

if TYPE_CHECKING:
    from des_core.settings.config import Settings

OLD_WAY_DAYS = 16
CONFIG = """\
# The demo's configuration. A real one: des-admin init
database:
  url: sqlite:///{directory}/application.db
  table_name: files
  lag_days: 7
packer:
  output_dir: {directory}/archive
  source_roots: ["{directory}/source"]
  n_bits: 4
backup:
  dir: {directory}/backups
"""


@dataclass(frozen=True)
class Played:
    """How the demo went."""

    directory: Path
    files: int
    proof: Proof
    steps: list[Step]
    duration_s: float


def play(stage: Stage, now: datetime, files: int = material.FILES) -> Played:
    """All chapters, each command for real. CheckFailed or DamagedData if anything is not right."""
    began = time.monotonic()
    settings = _set_up(stage, now, files)
    everything = _old_way(stage, settings, now, files)
    by_uid = {file.uid: file for file in everything}
    _cutover(stage)
    _first_run(stage, everything, now)
    _read_back(stage, everything)
    _drop_column(stage)
    truth = read_truth(settings)
    stage.chapter("9. And all the way back", "The formula is written into the column again.")
    stage.run("des-admin migrate down --yes")
    stage.chapter("10. The proof", "Every row against the formula, every archived byte compared.")
    proof = prove(settings, truth, by_uid)
    stage.context.say(
        f"{numbered(proof.rows, 'row')} checked: {proof.archived:,} archived and byte-equal in a "
        f"shard, {numbered(proof.exceptions, 'open exception')}, the rest waits; "
        f"the formula holds for every row",
        style="green",
    )
    return Played(stage.directory, len(everything), proof, stage.steps, time.monotonic() - began)


def _set_up(stage: Stage, now: datetime, files: int) -> Settings:
    stage.chapter(
        f"1. An application with {numbered(files, 'file')}",
        f"In {stage.directory}: a table `files`, its files over {material.DAYS} days, a config.",
    )
    directory = stage.directory
    for name in ("archive", "backups", "source"):
        (directory / name).mkdir()
    path = directory / "des-admin.yaml"
    path.write_text(CONFIG.format(directory=directory), encoding="utf-8")
    settings = load_settings(path, env={}).settings
    material.create_table(settings)
    return settings


def _old_way(
    stage: Stage, settings: Settings, now: datetime, number: int
) -> list[material.DemoFile]:
    root = stage.directory / "source"
    files = material.make_files(root, now, number)
    material.insert_rows(settings, files)
    stage.chapter(
        "2. So far: one UPDATE for every packed file",
        "Then a handful of late uploads: stamped weeks ago, not archived.",
        "They are the holes that MAX(created_at) WHERE archived would skip for ever.",
    )
    stage.run(f"des-migrate --config des-admin.yaml --older-than-days {OLD_WAY_DAYS}")
    late = material.make_late_files(root, now, number)
    material.insert_rows(settings, late)
    return [*files, *late]


def _cutover(stage: Stage) -> None:
    stage.chapter("3. Is everything ready?", "Exit code 4: the cutover has not been made yet.")
    stage.run("des-admin doctor", expect=(4,))
    stage.chapter("4. What would the cutover do? Then do it", "Nothing changes before `up`.")
    stage.run("des-admin migrate plan")
    stage.run("des-admin migrate up --yes --quiet --reason 'demo cutover'")


def _first_run(stage: Stage, files: list[material.DemoFile], now: datetime) -> None:
    stage.chapter(
        "5. Pack up to the target",
        "Three of the waiting files are bad: gone, a directory, grown. They become exceptions and",
        "the watermark moves all the same: exit code 3. The holes are packed as well.",
    )
    material.spoil(files, now)
    stage.run("des-admin run", expect=(3,))
    stage.run("des-admin exceptions list")
    stage.run("des-admin progress --daily --days 7")
    stage.run("des-admin progress")


def _read_back(stage: Stage, files: list[material.DemoFile]) -> None:
    stage.chapter("6. Read one file back", "And compare it with the original.")
    wanted = max(files, key=lambda file: file.size_bytes)
    stage.run(f"des-retriever get {wanted.uid} --to restored.bin")
    if (stage.directory / "restored.bin").read_bytes() != wanted.path.read_bytes():
        raise DamagedData("the file that came back is another one", uid=wanted.uid)
    stage.context.say(f"{wanted.size_bytes:,} bytes, equal to the original", style="green")
    stage.chapter(
        "7. Verify every shard",
        "Those not in the ledger were packed in per-record mode, which keeps none; they are read "
        "all the same.",
        "And who changed what, so far.",
    )
    stage.run("des-admin verify")
    stage.run("des-admin watermark history --check")


def _drop_column(stage: Stage) -> None:
    stage.chapter(
        "8. Drop the column archived",
        "Optional, and only through a gate: the index, a backup that was checked, no disagreement.",
    )
    stage.run("des-admin backup create")
    listed = stage.ask("des-admin backup list")
    name = _newest_backup(listed)
    stage.run(f"des-admin migrate up --drop-archived --backup {name} --yes")
    stage.run("des-admin migrate status")


def _newest_backup(listed: dict[str, object]) -> str:
    backups = listed.get("backups")
    if not isinstance(backups, list) or not backups:
        raise DamagedData("the backup that was just made is not in the list")
    return str(backups[0]["name"])
