"""What a revision does, said once: each operation with every statement that it may run."""
