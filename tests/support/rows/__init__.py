"""Tables of made-up files, in every shape that an application may have."""
