"""Copies of a cache."""

import shutil


def copied(cache, folder):
    """Copy a cache, without its locks, into a folder that may be there; return the folder."""
    return shutil.copytree(cache, folder, ignore=shutil.ignore_patterns("locks"), dirs_exist_ok=True)
