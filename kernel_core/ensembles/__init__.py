"""Logits of many runs: read, checked, written."""
