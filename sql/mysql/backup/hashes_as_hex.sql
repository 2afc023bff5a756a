-- purpose: password hashes hold any byte; as hex they survive a file
-- index: none
-- touches: this session
SET SESSION print_identified_with_as_hex = ON;
