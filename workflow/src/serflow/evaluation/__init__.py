"""Evaluation of runs: metrics with intervals, reference values and comparisons."""
