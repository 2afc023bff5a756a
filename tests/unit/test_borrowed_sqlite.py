"""Connections of sqlite3 by the ways to begin a transaction that Python 3.12 brought."""

import sqlite3
import sys

import pytest

from des_core.basics.errors import UsageError
from des_core.database.borrowed import left_as_it_was

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")


def test_one_that_commits_by_itself_comes_back_so() -> None:
    connection = sqlite3.connect(":memory:", **{"autocommit": True})
    with left_as_it_was(connection):
        connection.execute("CREATE TABLE made (a)")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO made VALUES (1)")
        connection.execute("ROLLBACK")
    assert getattr(connection, "autocommit", None) is True
    assert connection.execute("SELECT COUNT(*) FROM made").fetchone() == (0,)
    connection.close()


def test_one_that_is_always_in_a_transaction_is_refused() -> None:
    connection = sqlite3.connect(":memory:", **{"autocommit": False})
    with pytest.raises(UsageError, match="autocommit=False"), left_as_it_was(connection):
        pass
    assert getattr(connection, "autocommit", None) is False
    connection.close()
