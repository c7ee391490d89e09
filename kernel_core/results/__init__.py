"""The cache: its keys, its entries, and what has been built of a source."""
