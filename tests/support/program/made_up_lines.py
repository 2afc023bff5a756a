"""Made-up configurations and command lines: mostly sensible, wrong in one place or another.

The same seed makes the same case. A canary stands wherever a secret can stand.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from importlib import import_module
from typing import Any

import typer
import yaml

CANARY = "c4n4ry/P@55 wörd"
# How it looks within a URL, and the piece that no escaping changes.
CANARY_QUOTED = "c4n4ry%2FP%4055%20w%C3%B6rd"
CANARY_PIECE = "c4n4ry"

# (module, whose `main` takes the line; module and attribute that hold its command tree)
PROGRAMS = {
    "des_admin.__main__": "des_admin.app",
    "des_admin.retriever_cli": "des_admin.retriever_cli",
    "des_admin.per_record_cli": "des_admin.per_record_cli",
    "watermark_orchestrator.__main__": None,
}
WEIGHTS = (8, 1, 1, 1)
RUNNER_OPTIONS = (
    *("--config", "--mode", "--interval", "--shard-id", "--shards-total", "--dry-run"),
    *("--verbose", "--log-file", "--log-format"),
)
# What serves, waits or works for long on purpose.
ENDLESS = {"exporter", "demo", "--watch", "continuous", "--deep", "--sleep"}

JUNK: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2**63, -(2**70), 1e308, float("nan"), float("inf"), "", " ", "\n"),
    *("x" * 5000, "ż\u202e🙂", "\x1b[31mred", "%s%d{}{0}", "${HOME}", "${NOPE}", "${NOPE:x}"),
    *("'; DROP TABLE files; --", "../../etc/passwd", "/dev/null", "/", "-", "--", "~", "\ud800"),
    *([], [1, [2]], {}, {"a": {"b": 1}}, "2024-01-01", "9999-12-31T23:59:59Z", "0001-01-01"),
    *("10%", "1/7", "0/0", "1e9999", "5min", "NaN", "day", "json", "table", "yes", "no", "null"),
)
URLS = (
    "sqlite:///{db}",
    "sqlite:///{db}?password={canary}",
    "sqlite:////nowhere/{canary}.db?token={canary}",
    "postgresql://u:{canary}@127.0.0.1:9/x",
    "postgresql://u:{canary}@127.0.0.1:port/x",
    "postgresql://u:{canary}@[::1/x",
    "postgresql+psycopg2://u:{canary}@127.0.0.1:9/x?sslmode=no&password={canary}",
    "postgresql://127.0.0.1:9/x?password={canary}&options=-c%20x",
    "mysql://u:{canary}@127.0.0.1:9/x",
    "mariadb+pymysql://u:{canary}@127.0.0.1:9/x?ssl_ca=/nowhere&charset=no",
    "oracle://u:{canary}@127.0.0.1/x",
    "mssql+pyodbc://u:{canary}@",
    "u:{canary}@127.0.0.1",
    "://{canary}",
)


@dataclass(frozen=True)
class Case:
    """One run: program, configuration file as bytes, environment, words."""

    module: str
    config: bytes
    env: dict[str, str]
    words: list[str]
    stdin: str = ""


@dataclass
class Maker:
    """Makes cases. `db` is the SQLite database and `output` the directory of a sound archive."""

    db: str
    output: str
    sources: str
    chance: random.Random = field(default_factory=random.Random)

    def case(self, seed: int) -> Case:
        self.chance = random.Random(seed)
        (module,) = self.chance.choices(list(PROGRAMS), WEIGHTS)
        env: dict[str, str] = {}
        config = self._config(env)
        words = list(self._runner_words() if PROGRAMS[module] is None else self._words(module))
        stdin = self.chance.choice(["", "", "yes\n", "y\n" * 5, "17\n"])
        return Case(module, config, env, [word.replace("\0", "") for word in words], stdin)

    # The configuration -----------------------------------------------------------------------

    def _config(self, env: dict[str, str]) -> bytes:
        tree = self._good_tree(env)
        for _ in range(self.chance.choice([0, 0, 0, 0, 0, 0, 1, 1, 2, 4])):
            self._spoil(tree)
        text = yaml.safe_dump(tree, allow_unicode=False).encode("utf-8", "surrogatepass")
        return self._tear(text) if self.chance.random() < 0.05 else text

    def _good_tree(self, env: dict[str, str]) -> dict[str, Any]:
        tree: dict[str, Any] = {
            "database": {"url": self._url(), "page_size": 50},
            "packer": {
                "output_dir": self.output,
                "n_bits": 4,
                "workers": 1,
                "source_roots": ["/"],
            },
            "metrics": {
                "username": "u",
                "password": CANARY,
                "pushgateway_url": f"http://u:{CANARY_QUOTED}@127.0.0.1:9/push",
            },
            "migration": {"grace_days": 0},
        }
        if self.chance.random() < 0.5:
            tree["packer"]["source_roots"] = [self.sources]
        if self.chance.random() < 0.3:
            tree["watermark"] = {"config_db_url": self._url()}
        if self.chance.random() < 0.3:
            tree["backup"] = {"dir": "backups", "scratch_url": self._url()}
        if self.chance.random() < 0.2:
            env["DB_PASSWORD"] = CANARY
            tree["database"]["url"] = "postgresql://u:${DB_PASSWORD}@127.0.0.1:9/x"
        if self.chance.random() < 0.2:
            env["DES_ADMIN__DATABASE__URL"] = self._url()
        if self.chance.random() < 0.1:
            env["DES_ADMIN__METRICS__PASSWORD"] = CANARY
        return tree

    def _url(self) -> str:
        if self.chance.random() < 0.8:
            return f"sqlite:///{self.db}"
        return self.chance.choice(URLS).format(db=self.db, canary=CANARY_QUOTED)

    def _spoil(self, tree: dict[str, Any]) -> None:
        """Change one thing: a value, a name, a section."""
        section = self.chance.choice([*tree, "watermark", "logging", "backup", "profiles"])
        fields = tree.setdefault(section, {})
        kind = self.chance.randrange(5)
        if kind == 0 or not isinstance(fields, dict):
            tree[section] = self._junk()
            return
        key = self.chance.choice([*fields, *_known_keys(section), "unknown"])
        if kind == 1:
            fields.pop(key, None)
        elif kind == 2:
            fields[key + self.chance.choice("x_ ")] = fields.pop(key, CANARY)
        else:
            fields[key] = self._junk()

    def _junk(self) -> Any:
        # A copy: what is spoilt once more must not change what later cases are made of.
        value = deepcopy(self.chance.choice(JUNK))
        # A YAML file cannot hold half a surrogate pair; a command line can.
        return "half" if value == "\ud800" else value

    def _tear(self, text: bytes) -> bytes:
        at = self.chance.randrange(len(text) + 1)
        return self.chance.choice(
            [
                text[:at],
                text[:at] + self.chance.randbytes(4) + text[at:],
                text[:at] + b"\t: [" + text[at:],
                text + text,
                b"",
                text.replace(b":", b"", 1),
            ]
        )

    # The line --------------------------------------------------------------------------------

    def _words(self, module: str) -> Iterator[str]:
        command = _tree(module)
        if self.chance.random() < 0.9:
            yield from ("--config", "c.yaml")
        options = list(command.params)
        while commands := getattr(command, "commands", None):
            name = self.chance.choice([n for n in commands if n not in ENDLESS])
            if self.chance.random() < 0.01:
                name += "x"
                yield name
                return
            yield name
            command = commands[name]
            if self.chance.random() < 0.3:
                yield from self._option(self.chance.choice(options))
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                if self.chance.random() < 0.9:
                    yield self._value(parameter)
            elif parameter.required or self.chance.random() < 0.2:
                yield from self._option(parameter)
        if any("--yes" in parameter.opts for parameter in command.params):
            yield from ["--yes"] * self.chance.randrange(2)
        if self.chance.random() < 0.05:
            yield str(self.chance.choice(JUNK))

    def _option(self, parameter: Any) -> Iterator[str]:
        if ENDLESS & set(parameter.opts):
            return
        yield self.chance.choice([*parameter.opts, *parameter.secondary_opts])
        if not getattr(parameter, "is_flag", False):
            yield self._value(parameter)

    def _value(self, parameter: Any) -> str:
        kind = getattr(parameter, "bare_type", None)
        if isinstance(kind, type) and issubclass(kind, Enum) and self.chance.random() < 0.8:
            return str(self.chance.choice(list(kind)).value)
        sensible = (
            "2024-01-03",
            "2024-01-05T00:00:00Z",
            "1",
            "7",
            "100",
            "doc-0000001.txt",
            "late",
        )
        odd = ("x=1", "out", self.db, *JUNK)
        word = str(self.chance.choice(sensible if self.chance.random() < 0.7 else odd))
        return "single" if word in ENDLESS else word

    def _runner_words(self) -> Iterator[str]:
        yield from ("--config", "c.yaml")
        for name in self.chance.sample(RUNNER_OPTIONS, self.chance.randrange(4)):
            yield name
            if name == "--mode":
                yield self.chance.choice(["single", "none", ""])
            elif name == "--log-format":
                yield self.chance.choice(["json", "text", "x"])
            elif name not in ("--dry-run", "--verbose"):
                yield str(self.chance.choice(["0", "1", "x.log", "2", *JUNK]))


@cache
def _tree(module: str) -> Any:
    return typer.main.get_command(import_module(str(PROGRAMS[module])).make_app())


@cache
def _known_keys(section: str) -> tuple[str, ...]:
    from des_core.settings.config import Settings

    field_info = Settings.model_fields.get(section)
    kind = None if field_info is None else field_info.annotation
    return tuple(getattr(kind, "model_fields", {}))
