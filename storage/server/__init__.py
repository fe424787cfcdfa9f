"""A Postgres of our own: its data folder, its programs, and as whom it runs."""
