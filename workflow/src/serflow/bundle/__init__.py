"""Trained models in one file, and using them on recordings."""

BUNDLE_FORMAT = 3
