"""What one migration works with: both databases, what was asked for, the initial watermark."""
