"""The application's table: its columns, its rows in windows, a worker's share of them."""
