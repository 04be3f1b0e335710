"""Protocols: which clips a run trains on, validates on and is tested on."""
