"""Networks: training, loading, their outputs and features."""
