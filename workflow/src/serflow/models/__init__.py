"""Model architectures, and training and running the models."""
