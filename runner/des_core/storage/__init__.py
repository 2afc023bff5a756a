"""Where shards live: a directory or a bucket, drafts, uploads, manifests."""
