"""The cache: keys, entries, and what has been built of a source."""
