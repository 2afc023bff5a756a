"""One module per command group. Each reads its options, calls the domain, and renders."""
