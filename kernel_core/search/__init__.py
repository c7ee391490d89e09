"""Streamed exact top-k over rows: its memory plan, its products, half precision with a proof."""
