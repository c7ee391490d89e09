"""Training, inference and features of networks."""
