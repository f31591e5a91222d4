"""How to ask: a library and a command line, without TensorFlow."""
