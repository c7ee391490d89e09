"""The benchmark: our search beside others, each in a process of its own."""
