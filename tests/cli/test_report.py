"""`progress --format html`: true, self-contained, and readable on a phone and on a desk."""

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cli.browser import WIDTHS, Look, look_at
from cli.conftest import Archive, Program, program_environment, write_config
from des_core.database.connections import open_database
from des_core.migration.apply import upgrade
from des_core.progress.history import HistoryDay, read_history
from des_core.progress.now import read_progress
from des_core.rows.reader import SourceReader
from des_core.settings.config_file import load_settings
from support.rows.filesdata import FilesTableFactory
from support.servers.database import TestDatabase

DAYS = 17
PER_DAY = 12
SPAN = 8
CHARTS = {
    *("figure-daily-files", "figure-daily-bytes", "figure-packed"),
    *("figure-pending", "figure-throughput", "figure-lag"),
}


@pytest.fixture
def lived_in(
    project: Path,
    program: Program,
    make_database: Callable[[str], TestDatabase],
    files_table: FilesTableFactory,
) -> Archive:
    """An archive that packed two slices a day, the last one today, of 12 files each."""
    database = make_database("sqlite")
    first = datetime.now(UTC).date() - timedelta(days=DAYS)
    table = files_table(
        database,
        rows=PER_DAY * DAYS,
        days=DAYS,
        first_day=first,
        archived_days=3,
        holes=4,
        min_size=1,
    )
    settings = load_settings(write_config(project, database.url), env={}).settings
    upgrade(settings, actor="tests")
    program("run")
    spread_ledger(database)
    return Archive(project, database, database, table, settings)


def spread_ledger(database: TestDatabase) -> None:
    """As if two slices had been packed on each day, while one day of files came in."""
    now = datetime.now(UTC).replace(tzinfo=None)
    slices = [
        number
        for (number,) in database.rows("SELECT slice_id FROM des_archive_slice ORDER BY slice_id")
    ]
    for back, number in enumerate(reversed(slices)):
        end = now - timedelta(days=back / 2, seconds=1)
        times = [
            moment.isoformat(" ", "microseconds") for moment in (end - timedelta(seconds=2), end)
        ]
        database.execute(
            f"UPDATE des_archive_slice SET started_at = '{times[0]}', finished_at = '{times[1]}',"
            f" run_id = 'run-{number // 2}' WHERE slice_id = {number}"
        )


def history_of(archive: Archive, days: int = SPAN) -> list[HistoryDay]:
    config, source = (open_database(found.url) for found in (archive.config, archive.source))
    try:
        progress = read_progress(config, SourceReader(source, archive.settings.database))
        return read_history(config, progress, days=days)
    finally:
        config.close()
        source.close()


def test_history_is_what_the_table_says(lived_in: Archive) -> None:
    slices = lived_in.source.rows(
        "SELECT DATE(finished_at), kind, window_end, files_out FROM des_archive_slice"
        " ORDER BY slice_id DESC"
    )
    days = history_of(lived_in)
    today = days[-1].day
    assert [day.day for day in days] == [today - timedelta(days=n) for n in range(SPAN)][::-1]
    for day in days:
        mine = [row for row in slices if row[0] == day.day.isoformat()]
        assert day.files == sum(row[3] for row in mine)
        if day.day == today or not mine or mine[0][1] != "window":
            continue
        target = datetime.combine(day.day, datetime.min.time()) - timedelta(days=6)
        [[waiting]] = lived_in.source.rows(
            f"SELECT COUNT(*) FROM files WHERE created_at > '{mine[0][2]}'"
            f" AND created_at <= '{target:%Y-%m-%d %H:%M:%S.%f}'"
        )
        assert day.waiting_files == waiting
        assert day.behind == max(target - datetime.fromisoformat(mine[0][2]), timedelta(0))
    assert len({day.waiting_files for day in days}) > 2


def test_history_knows_moves_by_hand(lived_in: Archive, program: Program) -> None:
    program("watermark", "rewind", "3d", "--yes")
    last = history_of(lived_in)[-1]
    assert last.behind is not None
    assert last.behind >= timedelta(days=3)
    assert last.waiting_files == PER_DAY * 3


def test_history_before_anything_was_packed(sqlite_archive: Archive) -> None:
    days = history_of(sqlite_archive, days=3)
    assert [day.files for day in days] == [0, 0, 0]
    assert days[0].behind is None
    assert days[-1].behind is not None


@pytest.fixture
def page(lived_in: Archive, program: Program) -> Path:
    program("watermark", "rewind", "2d", "--yes")
    path = lived_in.project / "report.html"
    path.write_text(program("progress", "--format", "html", "--days", str(SPAN)).out)
    return path


def test_needs_nothing_but_itself(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"""(?:src|href)\s*=|url\(|@import|<script|<link""", text)
    assert "default-src 'none'" in text
    assert text.count("<svg") == len(CHARTS)
    assert len(text) < 300_000


def test_in_a_browser(page: Path) -> None:
    for scheme in ("light", "dark"):
        check_in_a_browser(scheme, page)


def check_in_a_browser(scheme: str, page: Path) -> None:
    looks = look_at(page, scheme, page.with_name(f"report-{scheme}.png"))
    for name, look in looks.items():
        check_layout(look)
        for figure in look.measured["figures"]:
            check_drawn(figure, look, f"{name} {scheme}")
        background, text = (brightness(look.measured[key]) for key in ("background", "text"))
        assert (
            (background > 200 > 60 > text) if scheme == "light" else (background < 60 < 200 < text)
        )
    phone, desk = (looks[name].measured["figures"] for name in WIDTHS)
    assert len({figure["box"][0] for figure in phone}) == 1, "one below the other on a phone"
    assert len({figure["box"][0] for figure in desk}) == 2, "two beside each other on a desk"


def check_layout(look: Look) -> None:
    """Nothing is wider than the window, nothing sticks out of its figure, all can be read."""
    measured = look.measured
    assert measured["client"] == measured["scroll"] == look.width
    assert {figure["id"] for figure in measured["figures"]} == CHARTS
    for figure in measured["figures"]:
        left, top, right, bottom = figure["box"]
        for text, *box in figure["words"]:
            inside = left <= box[0] and top <= box[1] and box[2] <= right and box[3] <= bottom
            assert inside, f"{figure['id']}: {text!r} sticks out"
        assert figure["size"] >= 10, f"{figure['id']}: letters too small"


def check_drawn(figure: object, look: Look, where: str) -> None:
    """The colour of the series covers a part of the picture that bars or an area would."""
    assert isinstance(figure, dict)
    colours = look.colours_of(figure)
    wanted = numbers(figure["colour"])
    # Series are drawn at 85 % over the card.
    alike = sum(n for colour, n in colours.items() if is_near(colour, wanted))
    assert alike > 1000, f"{where}: {figure['id']} is empty"


def numbers(colour: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", colour)[:3]]


def brightness(colour: str) -> float:
    return sum(numbers(colour)) / 3


def is_near(colour: tuple[int, ...], wanted: list[int]) -> bool:
    return all(abs(one - other) <= 45 for one, other in zip(colour, wanted, strict=True))


def test_foreign_text_is_only_text(sqlite_archive: Archive, program: Program) -> None:
    reason = "<script>alert(1)</script>"
    sqlite_archive.config.execute(f"UPDATE des_archive_exception SET reason = '{reason}'")
    text = program("progress", "--format", "html").out
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_an_empty_archive_has_a_report_too(sqlite_archive: Archive, program: Program) -> None:
    text = program("progress", "--format", "html", "--days", "400").out
    assert 'id="figure-packed"' not in text, "a card without anything in it is none"
    program("progress", "--format", "html", "--watch", expect=2)


def test_long_spans_are_thinned(lived_in: Archive, program: Program) -> None:
    text = program("progress", "--format", "html", "--days", "400").out
    packed = text[text.index("figure-packed") :]
    assert packed[: packed.index("</figure>")].count('class="bar"') <= 60
    assert program("progress", "--output", "json").json["packed"]["files"] > 80


def test_without_the_libraries_it_says_what_to_install(project: Path) -> None:
    write_config(project, "sqlite:////nowhere/x.db")
    code = "import sys; sys.modules['pygal'] = None\nfrom des_admin.render.charts import "
    code += "require_library\nfrom des_core.basics.errors import UsageError\n"
    code += "try:\n    require_library()\n"
    code += "except UsageError as exc:\n    print(exc.hint)\n"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=program_environment(project),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "des-admin[report]" in done.stdout


def test_the_dates_of_an_axis() -> None:
    from des_admin.render.charts import thin

    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(121)]
    groups = thin(days, lambda group: list(group))
    assert [day for group in groups for day in group] == days
    assert len(groups) <= 60
    assert {len(group) for group in groups[1:]} == {3}
