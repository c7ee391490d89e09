"""Which training examples does the training process itself find similar? The kernel, its neighbors, its findings.

Importing this package loads no torch, opens no file and touches no device; `kernel_core.pipeline` is the way in.
"""

__version__ = "0.1.0"
