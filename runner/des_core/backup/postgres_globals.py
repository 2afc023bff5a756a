"""What a dump of one PostgreSQL database lacks: the roles and tablespaces of its cluster."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from des_core.backup.programs import Program, find_postgres_program, run_to_end
from des_core.basics.errors import Refused

ROLES_FILE = "roles.sql"
TABLESPACES_FILE = "tablespaces.sql"
CLOSING = "-- Dump completed\n"
_ROLE = re.compile(
    r'^(?P<create>CREATE ROLE (?P<name>"(?:[^"]|"")+"|[^\s;]+);)\n(?P<alter>ALTER ROLE [^\n]+;)$',
    re.MULTILINE,
)


def dump_globals(
    directory: Path, conninfo: str, server_version: tuple[int, ...], scratch: Path
) -> tuple[str, ...]:
    """Write what the rights allow; returns what is left out, in words."""
    try:
        program = find_postgres_program("pg_dumpall", server_version)
    except Refused as exc:
        return (f"roles and tablespaces of the cluster ({exc.message})",)
    left_out: list[str] = []
    roles = scratch / ROLES_FILE
    if not _dump(program, conninfo, scratch, roles, "--roles-only"):
        # Passwords are for superusers only; the roles themselves are for everybody.
        if not _dump(program, conninfo, scratch, roles, "--roles-only", "--no-role-passwords"):
            return ("roles and tablespaces of the cluster (the database user may not read them)",)
        left_out.append("passwords of roles (only a superuser may read them)")
    _write(directory / ROLES_FILE, _guard_roles(roles.read_text(encoding="utf-8")))
    spaces = scratch / TABLESPACES_FILE
    if not _dump(program, conninfo, scratch, spaces, "--tablespaces-only"):
        left_out.append("tablespaces of the cluster (the database user may not read them)")
    elif "CREATE TABLESPACE" in (text := spaces.read_text(encoding="utf-8")):
        _write(directory / TABLESPACES_FILE, text)
    return tuple(left_out)


def is_whole(path: Path) -> bool:
    """Whether a file of ours ends as it was written."""
    return path.read_text(encoding="utf-8", errors="replace").endswith(f"\n{CLOSING}")


def _dump(program: Program, conninfo: str, scratch: Path, target: Path, *options: str) -> bool:
    target.unlink(missing_ok=True)
    command = [program.path, f"--dbname={conninfo}", "--no-password", f"--file={target}", *options]
    code, _stderr = run_to_end(command, scratch)
    return code == 0


def _guard_roles(text: str) -> str:
    """A role that is there already keeps its password and rights, and stops nothing."""
    mark = f"$des_{secrets.token_hex(8)}$"

    def guard(match: re.Match[str]) -> str:
        return (
            f"DO {mark} BEGIN {match['create']} {match['alter']}\n"
            f"EXCEPTION WHEN duplicate_object THEN NULL; END {mark};"
        )

    return _ROLE.sub(guard, text)


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text.rstrip("\n") + "\n" + CLOSING, encoding="utf-8")
