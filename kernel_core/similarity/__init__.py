"""The definition of each similarity: stored values → rows whose inner product is the similarity.

`kernel` is the kernel's formula and code; `kernel_rows` applies it to the files of an ensemble. `vectors` has
the similarities of features and pixels. `embed` chooses among them by a `KernelSpec`.
"""
