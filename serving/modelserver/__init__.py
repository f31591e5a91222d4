"""A drop-in for tensorflow_model_server: the same flags, messages and metrics, without TensorFlow."""
