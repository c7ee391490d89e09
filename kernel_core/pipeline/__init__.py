"""The straight line: source → embed → top-k → cache → results."""

from kernel_core.pipeline.build import build, build_run_counts
from kernel_core.pipeline.map import build_map
from kernel_core.pipeline.twins import build_aligned

__all__ = ["build", "build_aligned", "build_map", "build_run_counts"]
