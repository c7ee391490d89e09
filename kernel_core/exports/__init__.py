"""A cleaned set: which examples to keep and to drop, and the files that other tools read."""
