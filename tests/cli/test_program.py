"""The frame of the program: help, versions, errors, options anywhere, streams."""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.conftest import CANARY, ROOT, Archive, Done, Program, program_environment, write_config
from des_admin.app import make_app
from des_admin.help_text import tidy_help
from des_core.basics.identifiers import Dialect

HEAVY = (
    *("sqlalchemy", "alembic", "pydantic", "psycopg", "pymysql", "yaml", "zstandard"),
    *("markdown_it", "pygments", "des_admin.commands.run"),
)
SNIPPET = """
import sys
from des_admin.__main__ import main
code = main(sys.argv[1:])
print(code, *(name for name in {heavy!r} if name in sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("line", ["--help", "--version", "sql --help", "init --help"])
def test_help_imports_nothing_heavy(line: str, project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SNIPPET.format(heavy=HEAVY), *line.split()],
        env=program_environment(project),
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    # typer itself asks pydantic once it has values to convert; at the top it has none.
    allowed = {"pydantic"} if " " in line else set()
    assert set(done.stderr.split()) - allowed == {"0"}


def test_a_cycle_loads_only_what_it_needs(sqlite_archive: Archive, project: Path) -> None:
    """Its start is most of a small cycle: what logs, shows and tries again comes when needed."""
    modules = ("structlog", "prometheus_client", "tenacity", "alembic", "rich", "http.server")
    modules += ("sqlalchemy.dialects.mysql", "sqlalchemy.dialects.postgresql", "distributed")
    snippet = SNIPPET.replace("des_admin.__main__", "watermark_orchestrator.__main__")
    done = subprocess.run(
        [sys.executable, "-c", snippet.format(heavy=modules)],
        env=program_environment(project),
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "packed 80 files" in done.stderr
    assert done.stderr.splitlines()[-1] == "0"


def test_the_first_page_of_the_help_says_what_the_commands_say() -> None:
    whole, lean = (_first_page(words) for words in (None, ()))
    assert list(whole.commands) == list(lean.commands)
    for name, command in whole.commands.items():
        summary = lean.commands[name]
        assert command.help.partition("\n\n")[0] == summary.help
        assert command.short_help is summary.short_help is None
        assert command.rich_help_panel == summary.rich_help_panel


def _first_page(words: tuple[str, ...] | None) -> Any:
    command = typer.main.get_command(make_app(words))
    tidy_help(command, typer.Context(command))
    return command


def test_what_the_help_puts_off_becomes_the_real_thing_when_used() -> None:
    code = (
        "import sys; from des_admin.lean_help import import_help; import_help();"
        "from typer import rich_utils as page; assert 'rich.markdown' not in sys.modules;"
        "text = page.Markdown('*x*'); from rich.markdown import Markdown;"
        "assert type(text) is Markdown and isinstance(text, page.Markdown);"
        "assert page.Traceback.from_exception(ValueError, ValueError(), None).trace.stacks"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_command_prints_the_help_and_is_wrong_usage(program: Program) -> None:
    assert "Usage: des-admin" in "".join(_both(program(expect=2)))


def _both(done: Done) -> tuple[str, str]:
    return done.out, done.err


def test_unknown_command_names_the_nearest(program: Program) -> None:
    done = program("sql", "shwo", expect=2)
    assert "Did you mean 'show'" in done.err
    assert done.out == ""


@pytest.mark.parametrize("line", ["hlep", "hepl run", "watermark hlep"])
def test_help_mistyped_is_named_too(line: str, program: Program) -> None:
    assert "Did you mean 'help'?" in program(*line.split(), expect=2).err


@pytest.mark.parametrize("line", ["help watermark", "watermark help"])
def test_help_is_a_word_before_and_behind_a_group(line: str, program: Program) -> None:
    done = program(*line.split())
    assert "Usage: des-admin watermark" in done.out
    assert done.err == ""


@pytest.mark.parametrize(
    "line",
    [
        "--output json config show",
        "config --output json show",
        "config show --output json",
        "config show --output=json",
        "--output table config show --output json",
    ],
)
def test_global_options_stand_anywhere(line: str, program: Program, project: Path) -> None:
    write_config(project, "sqlite:////nowhere/x.db")
    assert program(*line.split()).json["schema"] == "des-admin/config-show/1"


def test_value_of_another_option_is_not_taken_for_a_global_one(
    program: Program, project: Path
) -> None:
    write_config(project, "sqlite:////nowhere/x.db")
    done = program(
        "sql", "show", "exception_resolve", "--param", "resolution=--output", "--param", "now=json"
    )
    assert "resolution = '--output'" in done.out


def test_errors_are_json_on_stderr_when_json_is_wanted(program: Program) -> None:
    done = program("config", "show", "--output", "json", expect=2)
    assert done.out == ""
    assert done.error["schema"] == "des-admin/error/1"
    assert done.error["exit_code"] == 2
    assert "des-admin init" in done.error["hint"]


def test_broken_usage_is_json_too(program: Program) -> None:
    assert program("sql", "shwo", "--output", "json", expect=2).error["kind"] == "UsageError"


@pytest.mark.parametrize(("form", "first"), [("json", b"{"), ("table", b"n")])
def test_reader_that_goes_away_is_no_error(form: str, first: bytes, project: Path) -> None:
    write_config(project, "sqlite:////nowhere/x.db")
    command = f"{sys.executable} -m des_admin sql list --output {form} | head -c 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        env=program_environment(project),
        cwd=project,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, first, b"")


def test_the_work_goes_on_when_nobody_listens_to_the_talk(project: Path) -> None:
    with closing(sqlite3.connect(project / "app.sqlite")) as connection:
        connection.execute(
            "CREATE TABLE files (uid TEXT PRIMARY KEY, created_at TEXT, file_location TEXT,"
            " size_bytes INTEGER, archived BOOLEAN)"
        )
    write_config(project, f"sqlite:///{project}/app.sqlite")
    line = f"{sys.executable} -m des_admin migrate up --yes 2>&1 >/dev/null | true"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        env=program_environment(project),
        cwd=project,
        check=False,
    )
    with closing(sqlite3.connect(project / "app.sqlite")) as connection:
        assert connection.execute("SELECT id FROM des_archive_config").fetchall() == [(1,)]
    assert done.returncode == 0


def test_a_section_without_a_key_sets_nothing(program: Program, project: Path) -> None:
    write_config(project, "sqlite:////nowhere/x.db", extra="watermark:\n  # slice: hour\n")
    keys = program("config", "show", "--output", "json").json["keys"]
    assert keys["watermark.slice"] == {"value": "day", "origin": "default"}


def test_every_wrong_key_is_named(program: Program, project: Path) -> None:
    extra = "watermark: {slice: week, recheck_days: many}\n"
    write_config(project, "sqlite:////nowhere/x.db", extra=extra)
    facts = program("config", "show", "--output", "json", expect=2).error["facts"]
    assert (facts["key"], facts["also_wrong"]) == ("watermark.slice", "watermark.recheck_days")


def test_every_place_of_a_configuration_is_named(program: Program, project: Path) -> None:
    assert f"{project}/.config/des-admin/config.yaml" in program("progress", expect=2).err


def test_config_show_names_origins_and_masks_secrets(program: Program, project: Path) -> None:
    write_config(project, "postgresql://archive:${DB_PASSWORD}@db/a?sslmode=require")
    env = {"DB_PASSWORD": CANARY, "DES_ADMIN__DATABASE__LAG_DAYS": "3"}
    keys = program("config", "show", "--output", "json", env=env).json["keys"]
    assert keys["database.lag_days"] == {"value": 3, "origin": "environment"}
    assert keys["database.url"]["value"] == (
        "postgresql+psycopg://archive:***@db/a?sslmode=require"
    )
    assert keys["database.url"]["origin"].endswith("des-admin.yaml")
    assert keys["watermark.slice"] == {"value": "day", "origin": "default"}
    assert "***" in program("config", "show", env=env).out


@pytest.mark.parametrize(
    "env",
    [
        {"DES_ADMIN__PACKER__SOURCE_ROOTS": f"[{CANARY}"},
        {"DES_ADMIN__PACKER__SOURCE_ROOTS": "[" * 5000},
        {"DES_ADMIN__PACKER__SOURCE_ROOTS": "[*x]"},
        {"DES_ADMIN__PACKER__SOURCE_ROOTS": "[2024-02-31]"},
        {"DES_ADMIN__DATABASE": CANARY, "DES_ADMIN__DATABASE__URL": "sqlite:///x.db"},
        {"DES_ADMIN__DATABASE__URL__MORE": CANARY},
        {"DES_ADMIN__METRICS__PORT": f"[{CANARY}"},
    ],
)
def test_a_variable_that_is_wrong_is_an_error_of_the_configuration(
    program: Program, project: Path, env: dict[str, str]
) -> None:
    write_config(project, "sqlite:///x.db")
    error = program("config", "show", "--output", "json", env=env, expect=2).error
    assert error["kind"] == "ConfigError"
    assert error["facts"]["key"]


def test_a_password_may_begin_like_a_list(program: Program, project: Path) -> None:
    write_config(project, "sqlite:///x.db", extra="metrics: {username: scrape}\n")
    env = {"DES_ADMIN__METRICS__PASSWORD": f"[{CANARY}"}
    assert "***" in program("config", "show", env=env).out


def test_piped_tables_are_neither_cut_nor_coloured(program: Program, project: Path) -> None:
    long = "x" * 400
    write_config(project, f"sqlite:////{long}/x.db")
    done = program("config", "show", env={"FORCE_COLOR": "1", "TERM": "xterm-256color"})
    assert f"sqlite:////{long}/x.db" in done.out


def test_every_statement_is_shown_in_each_dialect(program: Program) -> None:
    for dialect in Dialect:
        statements = program("sql", "list", "--dialect", dialect, "--output", "json").json
        names = {item["name"] for item in statements["statements"]}
        files = {
            path.stem
            for home in ("common", dialect)
            for path in (ROOT / "sql" / home / "queries").glob("*.sql")
        }
        assert len(files) > 100
        assert files <= names | {re.sub("_(first|next)$", "", name) for name in names}
        assert all(item["purpose"] and item["index"] for item in statements["statements"])


def test_sql_show_fills_and_quotes(program: Program) -> None:
    done = program(
        *("sql", "show", "exception_resolve", "--dialect", "mysql"),
        *("--param", r"resolution=it's \ here"),
        *("--param", "uid_sha256='007'", "--param", "now=null"),
    )
    assert r"resolution = 'it''s \\ here'" in done.out
    assert "uid_sha256 = '007'" in done.out
    assert "resolved_at = NULL" in done.out
    assert "SET @created_at = 'VALUE'" in done.out


def test_sql_show_names_the_statement_that_was_meant(program: Program) -> None:
    done = program("sql", "show", "watermark_red", "--dialect", "sqlite", expect=2)
    assert "did you mean watermark_read?" in done.err


def test_a_wrong_choice_is_told_in_our_words(program: Program) -> None:
    done = program("run", "--mode", "once", expect=2)
    assert "'--mode': 'once' is not one of 'single', 'continuous'" in done.err


def test_before_the_migration_every_command_says_what_to_do(
    program: Program, project: Path
) -> None:
    write_config(project, f"sqlite:///{project}/app.sqlite")
    with closing(sqlite3.connect(project / "app.sqlite")) as connection:
        connection.execute("CREATE TABLE files (uid, created_at, file_location, size_bytes)")
    for command in (("watermark", "show"), ("progress",), ("exceptions", "list"), ("run",)):
        done = program(*command, expect=12)
        assert "des-admin migrate up" in done.err, command
        assert "not_journaled" not in done.err


def test_sql_list_names_the_index_itself(program: Program, project: Path) -> None:
    write_config(project, "sqlite:////nowhere/x.db")
    listed = program("sql", "list", "--output", "json").json["statements"]
    indexes = {item["name"]: item["index"] for item in listed}
    assert indexes["window_count"] == '"idx_files_created_at"'
    assert not any("{" in index for index in indexes.values())


def test_sql_show_refuses_an_unknown_parameter(program: Program) -> None:
    line = "sql show watermark_read --dialect sqlite --param x=1"
    done = program(*line.split(), expect=2)
    assert "has no parameter 'x'" in done.err


def test_init_writes_a_file_that_loads(program: Program, project: Path) -> None:
    url = "postgresql://archive:${DB_PASSWORD}@db:5432/archive_db"
    done = program("init", "--url", url, "--output-dir", "/mnt/out", "--no-check")
    assert "packer.source_roots is not set" in done.err
    keys = program("config", "show", "--output", "json", env={"DB_PASSWORD": CANARY}).json["keys"]
    assert keys["packer.output_dir"]["value"] == "/mnt/out"
    assert (project / "des-admin.yaml").stat().st_mode & 0o777 == 0o640


def test_init_writes_the_roots_of_sources(program: Program, project: Path) -> None:
    line = ["init", "--url", "sqlite:////x.db", "--output-dir", "/mnt/out", "--no-check"]
    done = program(*line, "--source-root", "/mnt/a", "--source-root", "s3://bucket/in")
    assert "source_roots" not in done.err
    keys = program("config", "show", "--output", "json").json["keys"]
    assert keys["packer.source_roots"]["value"] == ["/mnt/a", "s3://bucket/in"]


def test_init_never_replaces_a_file_unasked(program: Program, project: Path) -> None:
    before = write_config(project, "sqlite:////nowhere/x.db").read_text()
    done = program("init", "--url", "sqlite:////y.db", "--output-dir", "o", expect=4)
    assert "nothing was changed" in done.err
    assert (project / "des-admin.yaml").read_text() == before


def test_init_refuses_a_password_in_so_many_letters(program: Program, project: Path) -> None:
    url = f"postgresql://archive:{CANARY}@db/a"
    done = program("init", "--url", url, "--output-dir", "o", "--no-check", expect=2)
    assert "${DB_PASSWORD}" in done.err
    assert not any(project.iterdir())


def test_init_names_the_variable_and_the_file_that_it_did_not_write(program: Program) -> None:
    url = "postgresql://archive:${DB_PASSWORD}@db:5432/archive_db"
    done = program("init", "--url", url, "--output-dir", "/mnt/out", expect=2)
    assert "file: des-admin.yaml, not written" in done.err
    assert "DB_PASSWORD_FILE; or write it untried: --no-check" in done.err


def test_init_without_a_terminal_names_the_flags(program: Program) -> None:
    assert "--url and --output-dir" in program("init", expect=2).err


def command_lines(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group, from the parser's own tree."""
    yield path
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from command_lines(child, (*path, name))


HELP_PAGES = """
import importlib, json, sys
main = importlib.import_module(sys.argv[1]).main
for line in json.loads(sys.argv[2]):
    print("\f" + " ".join(line))
    main([*line, "--help"])
"""


@pytest.mark.parametrize(
    ("entry", "app"),
    [
        ("des_admin.__main__", "des_admin.app"),
        ("des_admin.retriever_cli", "des_admin.retriever_cli"),
        ("des_admin.per_record_cli", "des_admin.per_record_cli"),
    ],
)
def test_golden_help(
    entry: str, app: str, golden: Callable[[Path, str], None], project: Path
) -> None:
    root = typer.main.get_command(import_module(app).make_app())
    lines = list(command_lines(root))
    done = subprocess.run(
        [sys.executable, "-c", HELP_PAGES, entry, json.dumps(lines)],
        env=program_environment(project),
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    for page in done.stdout.split("\f")[1:]:
        name, _, text = page.partition("\n")
        file = "-".join([root.name or entry, *name.split()])
        golden(Path(__file__).parent / "golden" / f"{file}.txt", text)


def test_json_stays_valid_whatever_a_name_holds(program: Program, project: Path) -> None:
    write_config(project, "sqlite:////nowhere/x.db", extra='backup:\n  dir: "\\ud800\\u001b[31m"\n')
    done = program("config", "show", "--output", "json", expect=None)
    assert json.loads(done.out or done.err)


@pytest.mark.parametrize(
    ("words", "offered"),
    [("des-admin prog", "progress"), ("des-admin watermark re", "rewind"), ("des-admin x", "")],
)
def test_the_shell_completes_commands(words: str, offered: str, program: Program) -> None:
    env = {"_DES_ADMIN_COMPLETE": "complete_bash", "COMP_WORDS": words}
    env["COMP_CWORD"] = str(words.count(" "))
    assert program(env=env, separate=True).out.split() == offered.split()
