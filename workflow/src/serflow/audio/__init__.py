"""Reading audio, augmentation and fixed length."""
