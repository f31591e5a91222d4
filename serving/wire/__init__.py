"""Bytes to numpy and back, for every protocol spoken here: pure functions, no TensorFlow."""
