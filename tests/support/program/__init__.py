"""The program run by tests: inside the test's process, or as one of its own."""
