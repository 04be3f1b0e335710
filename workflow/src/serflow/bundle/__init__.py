"""Trained models in one file, and using them on recordings."""

BUNDLE_FORMAT = 4
CARD = "README.md"  # of the files in a bundle, so that the Hugging Face Hub shows it
