"""Made-up documents that share most of their words, as orders, logs and mails do."""

import json
import random
from datetime import UTC, datetime, time, timedelta

from support.rows.bulk import insert_rows
from support.rows.filesdata import FileRow, FilesTable

WORDS = ("delivered", "warehouse", "pending", "invoice", "customer", "returned", "express", "gift")


def document(number: int) -> bytes:
    """About a kilobyte of JSON; the same number gives the same bytes."""
    chance = random.Random(number)
    items = [
        {
            "sku": f"SKU-{chance.randrange(10**5):05d}",
            "quantity": chance.randrange(1, 9),
            "unit_price": chance.randrange(10**4) / 100,
            "description": " ".join(chance.choices(WORDS, k=4)),
        }
        for _ in range(chance.randrange(3, 9))
    ]
    order = {
        "order_id": chance.getrandbits(48),
        "customer": {"name": f"c{chance.randrange(10**6)}", "status": chance.choice(WORDS)},
        "created_at": f"2024-03-{chance.randrange(1, 29):02d}T{chance.randrange(24):02d}:00:00Z",
        "items": items,
    }
    return json.dumps(order).encode()


def add_documents(table: FilesTable, *, days: int = 2, a_day: int = 120) -> None:
    """So many documents on each of the first days of the table, spread over the day."""
    root = table.root / "documents"
    root.mkdir(exist_ok=True)
    rows = []
    for number in range(days * a_day):
        uid = str(7_000_000 + number) if number % 3 else f"doc-{number}"
        content = document(number)
        path = root / f"{number}.json"
        path.write_bytes(content)
        day, place = divmod(number, a_day)
        midnight = datetime.combine(table.spec.first_day + timedelta(days=day), time.min, UTC)
        created_at = midnight + timedelta(days=1) * (place + 0.5) / a_day
        rows.append(FileRow(uid, created_at, str(path), len(content)))
        table.expect(uid, content)
    insert_rows(table.database, rows, table.spec.shape)
    table.rows.update({row.uid: row for row in rows})
