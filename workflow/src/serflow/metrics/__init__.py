"""Measures of predictions and their intervals. No file formats and no models."""
