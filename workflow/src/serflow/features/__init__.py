"""Frame features (1D) and mel-spectrograms (2D)."""
