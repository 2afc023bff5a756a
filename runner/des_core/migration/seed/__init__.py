"""Where the watermark starts: from the rows, or from a table that somebody made by hand."""
