"""The share of a sharded worker: worker `i` of `n` owns the buckets `b` with `b % n == i`."""

from __future__ import annotations

from dataclasses import dataclass

from des_core.basics.errors import ConfigError, UsageError
from des_core.basics.routing import bucket_count, bucket_of, buckets_of
from des_core.records import SourceRow


@dataclass(frozen=True, slots=True)
class Share:
    """Which buckets a worker owns."""

    worker_id: int
    workers_total: int
    n_bits: int

    def __post_init__(self) -> None:
        if self.workers_total > bucket_count(self.n_bits):
            raise UsageError(
                "there are more workers than buckets: some would own nothing",
                hint="lower database.shards_total",
                shards_total=self.workers_total,
                buckets=bucket_count(self.n_bits),
            )

    def owns(self, bucket: int) -> bool:
        return bucket % self.workers_total == self.worker_id

    def owns_uid(self, uid: str) -> bool:
        return self.owns(bucket_of(uid, self.n_bits))

    @property
    def layout(self) -> str:
        """The layout that it belongs to, in words."""
        return f"{self.workers_total} workers over 2**{self.n_bits} buckets"

    def __str__(self) -> str:
        return f"{self.worker_id}/{self.workers_total}"


def own_rows(page: list[SourceRow], share: Share) -> list[SourceRow]:
    """The rows whose buckets the worker owns."""
    buckets = buckets_of([row.uid for row in page], share.n_bits)
    return [row for row, bucket in zip(page, buckets, strict=True) if share.owns(bucket)]


def share_of(shard_id: int | None, shards_total: int | None, n_bits: int) -> Share | None:
    """The share of this process; None for a runner that owns all. ConfigError without an index."""
    if shards_total is None or shards_total == 1:
        return None
    if shard_id is None:
        raise ConfigError(
            "database.shards_total is set, but this runner has no index",
            hint="--shard-id N, database.shard_id, or an Indexed Job, which sets "
            "JOB_COMPLETION_INDEX",
            shards_total=shards_total,
        )
    return Share(shard_id, shards_total, n_bits)
