"""From a waveform to probabilities."""
