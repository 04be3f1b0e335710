"""What every step needs to run: errors, settings, locking, progress, fingerprints, SLURM."""
