"""Every regular expression of ours is linear: text that others wrote must not keep it busy.

All `re` calls of the packages are found in the source, so a new expression is tested, too.
"""

import ast
import re
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"des_core": "runner", "watermark_orchestrator": "runner", "des_admin": "."}
CHARS = 40_000
LIMIT_S = 0.3
# Of these the text is short: file names, or a value that was cut before.
BOUNDED = {"des_core.backup.foreign.mydumper._DATA": 255, "des_core.backup.store._BEGUN": 255}
ALWAYS = (
    *"a0Z _-.:/@=\\\"'`()[]{}<>,;#\n\t%&ż",
    "://",
    "\\\\",
    "''",
    "``",
    "()",
    "a=",
    "a:",
    "--",
    "- ",
)


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package, place in PACKAGES.items():
        for path in sorted((ROOT / place / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT / place).with_suffix("").parts)
            if not name.endswith("__main__"):
                yield name.removesuffix(".__init__"), ast.parse(path.read_text(encoding="utf-8"))


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls of a function of `re`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=attr)):
                if attr != "escape":
                    yield node


def names(tree: ast.Module) -> dict[ast.expr, str]:
    """What a module calls the expressions that it compiles at its top."""
    return {
        node.value: target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def uses(tree: ast.AST, name: str) -> set[str]:
    """How an expression is applied in its module: `search`, `fullmatch`, …"""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
        and node.attr != "pattern"  # its text, as a part of another one
    }


Found = tuple[str, "re.Pattern[Any] | None", set[str]]


def expressions() -> Iterator[Found]:
    """Where it stands, the expression, its uses; None where it is made while the program runs."""
    for module, tree in modules():
        named = names(tree)
        for call in calls(tree):
            assert isinstance(call.func, ast.Attribute)
            pattern, name = call.args[0], named.get(call)
            if name is not None:
                found = getattr(import_module(module), name)
                yield f"{module}.{name}", found, uses(tree, name) or {"search", "fullmatch"}
            elif isinstance(pattern, ast.Constant):
                yield f"{module}:{pattern.value!r}", re.compile(pattern.value), {call.func.attr}
            else:
                yield f"{module}:{ast.unparse(pattern)}", None, set()


FOUND = list(expressions())
# Built from something else; each has a test of its own where it is named here.
MADE = {
    "des_core.process.secrets:'|'.join(map(re.escape, longest_first))": "alternatives of literals",
    "des_core.process.secrets:_WORDS": "a name of an option of our own URL",
    "des_core.database.mysql_grants:text": "a pattern of a GRANT, at most 64 characters",
    "des_core.shard_io.lookup:b'(?:%b)+' % pattern": "one fixed sequence, repeated",
}


def units(pattern: str) -> list[str]:
    """What an attacker would repeat: signs of the expression, its words, and pairs of them."""
    words = re.findall(r"[A-Za-z]{2,}", pattern)[:6]
    signs = sorted({sign for sign in pattern if not sign.isalnum()} - set("?*+|^$"))[:6]
    pairs = [one + other for one in signs for other in signs if one != other]
    literal = re.sub(r"\\(.)|[?*+(){}|^$\[\]]", r"\1", pattern)
    return list(dict.fromkeys([*ALWAYS, *signs, *words, *pairs, literal]))


def apply(expression: "re.Pattern[Any]", use: str, sample: Any) -> None:
    if use in ("sub", "finditer", "findall", "split"):
        for _ in expression.finditer(sample):
            pass
    else:
        getattr(expression, use)(sample)


@pytest.mark.parametrize(("where", "expression", "used"), FOUND, ids=[found[0] for found in FOUND])
def test_it_is_linear(where: str, expression: "re.Pattern[Any] | None", used: set[str]) -> None:
    if expression is None:
        assert where in MADE, "an expression that is built: add it, with what bounds it"
        return
    source = expression.pattern
    is_bytes = isinstance(source, bytes)
    text = source.decode("latin-1") if is_bytes else source
    length = BOUNDED.get(where, CHARS)
    for unit in filter(None, units(text)):
        sample: Any = (unit * (length // len(unit) + 1))[:length] + "!"
        if is_bytes:
            sample = sample.encode("utf-8", "replace")
        for use in used:
            began = time.process_time()
            apply(expression, use, sample)
            took = time.process_time() - began
            assert took < LIMIT_S, f"{use}: {took:.1f} s for {length:,} characters of {unit!r}"


def test_a_slow_one_is_found() -> None:
    with pytest.raises(AssertionError, match="characters of"):
        test_it_is_linear("here", re.compile(r"\w+@"), {"search"})
    test_it_is_linear("here", re.compile(r"(?<!\w)\w++@"), {"search"})


def test_the_walk_finds_them() -> None:
    assert len(FOUND) > 60
    assert set(MADE) <= {where for where, *_ in FOUND}
    assert set(BOUNDED) <= {where for where, *_ in FOUND}
