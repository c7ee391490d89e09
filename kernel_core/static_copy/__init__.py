"""A read-only copy of the findings as plain files, which opens from disk and from a static host."""
