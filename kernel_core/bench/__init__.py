"""The benchmark: our search beside its competitors, each measurement in its own process."""
