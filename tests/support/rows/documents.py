"""Made-up documents that share most of their words, as orders, logs and mails do."""

import json
import random

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
