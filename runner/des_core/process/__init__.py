"""What a process says: logs without secrets, where they go, who collects them."""
