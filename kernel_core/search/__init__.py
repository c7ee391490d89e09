"""Streamed exact top-k over rows: its memory plan, its products, and half precision with a proof."""
