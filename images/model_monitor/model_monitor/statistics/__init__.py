"""Metrics, intervals and tests as pure functions of counts: numpy and scipy, no I/O.

What is undefined is None, never 0: the recall of a class without labels, for example.
Counts and numbers that cannot be (negative, NaN, infinite) raise ValueError.
"""
