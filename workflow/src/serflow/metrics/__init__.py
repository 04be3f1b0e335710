"""Measures of predictions and their intervals, computed without files or models."""
