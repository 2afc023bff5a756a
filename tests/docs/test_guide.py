"""docs/guide.md answers each heading and question of the migration guide."""

import re
from pathlib import Path

import pytest

from db.test_guide_script import find_guide

PAGE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
# A heading or question of the guide, and how its row here begins; "" for a heading over others.
ROWS = {
    "Przegląd": "Overview",
    "Architektura PRZED": "Overview",
    "Architektura PO": "Overview",
    "Kiedy migrować": "When to migrate",
    "✅ Migruj": "When to migrate",
    "❌ NIE migruj": "When to migrate",
    "Setup krok po kroku": "",
    "Krok 1: Backup": "Step 1",
    "Krok 2: Utworzenie tabeli": "Step 2: the table",
    "Krok 3: Usunięcie": "Step 3: drop",
    "Krok 4": "Step 4",
    "Krok 5": "Step 5",
    "Krok 6": "Step 6",
    "Krok 7": "Step 7",
    "Przykłady SQL": "",
    "Sprawdzanie postępu": "SQL: progress",
    "Manual watermark": "SQL: moving the watermark",
    "Monitoring": "",
    "Prometheus Metrics": "Metrics",
    "Grafana": "Grafana",
    "Alert Rules": "Alert rules",
    "Porównanie": "",
    "Benchmark": "Benchmark",
    "Tabela porównawcza": "Comparison table",
    "Rollback": "",
    "Krok 1: Restore": "Rollback: column",
    "Krok 2: Switch": "Rollback: the old program",
    "Krok 3: Verify": "Rollback: counting the flags",
    "FAQ": "",
    "Co się stanie": "The process dies in the middle",
    "Jak śledzić": "Which files exactly",
    "Czy mogę": "Several workers",
    "Co jeśli potrzebuję": "A flag per file for compliance",
    "Podsumowanie": "Summary",
}


def rows() -> dict[str, str]:
    return dict(re.findall(r"^\| ([^|]+?) \| (.+?) \|$", PAGE, re.M))


@pytest.mark.parametrize("beginning", sorted(set(ROWS.values()) - {""}))
def test_each_row_has_its_answer(beginning: str) -> None:
    found = [here for there, here in rows().items() if there.startswith(beginning)]
    assert len(found) >= 1, beginning
    assert all(re.search(r"\]\(|`|differs", here) for here in found)


def test_the_guide_has_no_heading_and_no_question_without_a_row() -> None:
    guide = find_guide()
    if guide is None:
        pytest.skip("the guide is not beside this checkout")
    text = re.sub(r"(?ms)^```.*?^```", "", guide.read_text(encoding="utf-8"))
    found = re.findall(r"^(?:##+ |\*\*Q: )(.+?)(?:\*\*)? *$", text, re.M)
    found = [each for each in found if "Spis Treści" not in each]
    assert [each for each in found if not any(map(each.startswith, ROWS))] == []
    assert [row for row in ROWS if not any(each.startswith(row) for each in found)] == []
