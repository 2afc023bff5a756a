"""From the rows of a slice to published shards: plans, tasks, workers, drafts, proofs."""
