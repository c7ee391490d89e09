"""Reports and figures of a source's results."""
