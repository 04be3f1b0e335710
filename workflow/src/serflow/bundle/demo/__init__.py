"""A local page on which a bundle is tried: a recording in, label, probabilities and spectrogram out."""
