"""From a waveform to the probabilities of a model."""
