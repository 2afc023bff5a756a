"""What `doctor` looks at: each check is a small question with an answer and a next step."""

from des_core.checks.check import Check, Status
from des_core.checks.examination import examine

__all__ = ["Check", "Status", "examine"]
