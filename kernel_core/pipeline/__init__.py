"""The straight line: source → embed → top-k → cache → results."""

from kernel_core.pipeline.build import build, build_map, build_run_counts

__all__ = ["build", "build_map", "build_run_counts"]
