"""Why a value, how sure, one example on demand, two images laid over each other."""
