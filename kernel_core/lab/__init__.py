"""The open questions of the dataset card, put to any source."""
