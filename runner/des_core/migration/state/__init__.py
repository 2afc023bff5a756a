"""What is really there, asked each time: tables, revisions, jobs, blockers, traps of servers."""
