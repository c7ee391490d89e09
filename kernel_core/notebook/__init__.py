"""A door for notebooks: what has been built of a source, as tables and images.

    import kernel_core as ke

    explorer = ke.open("digits", build=True)
    explorer.neighbors("test:123")

An example is named by its split and index, as in `test:123`. Tables are DataFrames whose columns are those of
the command line's CSV files, with class names beside labels. Nothing here computes a kernel: `open` reads the
cache, and loads torch only to build what is missing.

Each module has the methods of one topic; `explorer` puts them together.
"""

from kernel_core.notebook.explorer import Explorer, open  # noqa: A004 (called as kernel_core.open)

__all__ = ["Explorer", "open"]
