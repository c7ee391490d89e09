"""The definition of each similarity: raw values → rows whose inner product it is. `kernel` is the place to start."""
