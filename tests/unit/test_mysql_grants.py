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
