"""Who is at the keyboard, for the audit trail."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping

MAX_CHARS = 100


def current_actor(env: Mapping[str, str]) -> str:
    """`user@host`; `alice(as root)@host` under sudo. DES_ADMIN_ACTOR overrides it."""
    named = env.get("DES_ADMIN_ACTOR", "").strip()
    if named:
        return _clean(named)
    user = _system_user()
    behind = env.get("SUDO_USER", "")
    if behind and behind != user:
        user = f"{behind}(as {user})"
    return _clean(f"{user}@{socket.gethostname()}")


def _system_user() -> str:
    # The effective user: LOGNAME and USER are only what the shell claims.
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid{uid}"


def _clean(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[:MAX_CHARS]
