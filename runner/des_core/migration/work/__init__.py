"""The operations of the four revisions: index, watermark row, column archived and its flags."""
