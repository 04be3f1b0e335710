"""Pretrained speech encoders: weights to ONNX, and running them."""
