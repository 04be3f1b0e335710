"""What every command needs to run: errors, arguments, settings, locks, progress, fingerprints, plug-ins, SLURM."""
