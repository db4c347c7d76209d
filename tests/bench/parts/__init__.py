"""The parts of the bench: each measures, prints its tables and judges its goals, in run(bench).

A module of two parts has a function of each one's name instead.
"""
