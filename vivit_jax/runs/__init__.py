"""One training run: its loop, its work directory, what it saves and prints."""
