"""What `SHOW GRANTS` says, as MariaDB 10.11 writes it."""

import pytest

from des_core.database.mysql_grants import is_granted, parse_grants

USER = "TO `x`@`%`"


@pytest.mark.parametrize(
    ("line", "is_held"),
    [
        (f"GRANT ALL PRIVILEGES ON *.* {USER} IDENTIFIED BY PASSWORD '*00'", True),
        (f"GRANT USAGE ON *.* {USER}", False),
        (f"GRANT SELECT, INSERT ON `app_db`.* {USER}", True),
        (f"GRANT INSERT ON `app_db`.* {USER}", False),
        (f"GRANT SELECT ON `app\\_db`.* {USER}", True),
        (f"GRANT SELECT ON `app%`.* {USER} WITH GRANT OPTION", True),
        (f"GRANT SELECT ON `app`.* {USER}", False),
        (f"GRANT SELECT ON `appXdb`.* {USER}", False),
        (f"GRANT SELECT ON `app_db`.`files` {USER}", True),
        (f"GRANT SELECT ON `app%`.`files` {USER}", False),
        (f"GRANT SELECT ON `app_db`.`other` {USER}", False),
        (f"GRANT SELECT (`uid`, `created_at`), INSERT ON `app_db`.`files` {USER}", False),
        (f"GRANT EXECUTE ON PROCEDURE `app_db`.`SELECT` {USER}", False),
        (f"GRANT PROXY ON ''@'%' {USER}", False),
        ("GRANT `reader` TO `x`@`%`", False),
        ("GRANT SELECT ON `app_db`.* TO `reader`", True),
        ("SET DEFAULT ROLE `reader` FOR `x`@`%`", False),
    ],
)
def test_one_line(line: str, is_held: bool) -> None:
    assert is_granted(parse_grants([line]), "SELECT", "app_db", "files") is is_held


def test_a_name_with_quotes_in_it() -> None:
    grants = parse_grants([f"GRANT SELECT ON `a``b`.`c``.``d` {USER}"])
    assert is_granted(grants, "SELECT", "a`b", "c`.`d")


def test_what_was_taken_out_of_a_grant_on_the_server() -> None:
    """As MySQL writes it with partial_revokes."""
    lines = [f"GRANT SELECT, SHOW VIEW ON *.* {USER}", "REVOKE SELECT ON `app_db`.* FROM `x`@`%`"]
    grants = parse_grants(lines)
    assert not is_granted(grants, "SELECT", "app_db", "files")
    assert is_granted(grants, "SELECT", "other", "files")
    assert is_granted(grants, "SHOW VIEW", "app_db", "files")
    again = parse_grants([*lines, f"GRANT SELECT ON `app_db`.`files` {USER}"])
    assert is_granted(again, "SELECT", "app_db", "files")
