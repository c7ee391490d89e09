"""What the server does at scale: a planted cache of any size, and each page's seconds, bytes and memory.

    python -m tests.trials.scale FOLDER --train 1000000 --test 50000 --classes 10 --runs 20

Neighbors and map are planted, not searched for, which would take core-hours: `planting` says how. All else is
built by the product. The folder is kept, and a second call measures what is there.
"""
