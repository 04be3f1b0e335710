"""The architectures, one file each, and how they are trained and asked."""
