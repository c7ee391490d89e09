"""The command `kernel-explorer`."""
