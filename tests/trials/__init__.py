"""Reliability trials: what the program meets in the worst of days, many times over. `make trials` runs them.

A trial tries as many cases as its time allows, and counts those that failed. Trials talk to 127.0.0.1 only,
end only processes that they started, and work in a temporary folder. They need Linux.
"""
