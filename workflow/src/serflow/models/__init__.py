"""The architectures, and how they are trained and asked."""
