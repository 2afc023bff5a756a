"""How results look: tables for people, JSON for programs, values in one form everywhere."""
