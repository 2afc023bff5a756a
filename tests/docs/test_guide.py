"""docs/guide.md answers each heading and question of the migration guide."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
HEADINGS = (
    *("Overview", "When to migrate", "Step 1", "Step 2", "Step 3", "Step 4", "Step 5", "Step 6"),
    *("Step 7", "SQL: progress", "SQL: moving the watermark", "Metrics", "Grafana", "Alert rules"),
    *("Benchmark", "Comparison table", "Rollback: column", "Rollback: the old program"),
    *("Rollback: counting the flags", "Summary"),
)
QUESTIONS = ("dies in the middle", "Which files exactly", "Several workers", "for compliance")


def rows() -> dict[str, str]:
    return dict(re.findall(r"^\| ([^|]+?) \| (.+?) \|$", PAGE, re.M))


def test_each_heading_has_its_place() -> None:
    for heading in HEADINGS:
        [answer] = [here for there, here in rows().items() if there.startswith(heading)][:1]
        assert re.search(r"\]\(|`|differs", answer), heading


def test_each_question_has_an_answer_with_a_link() -> None:
    for question in QUESTIONS:
        [answer] = [here for there, here in rows().items() if question in there]
        assert "](" in answer, question
