"""What was packed and what is recorded: slices, shards, exceptions, events, the watermark."""
