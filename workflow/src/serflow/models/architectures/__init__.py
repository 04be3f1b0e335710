"""The architectures: each is a file here, and a new file is a new model; see :mod:`serflow.models.registry`."""
