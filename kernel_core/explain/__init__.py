"""Why a value is what it is and how sure, neighbors on demand, and one image laid over another."""
