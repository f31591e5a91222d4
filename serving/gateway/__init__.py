"""What people send, turned into tensors; what a model answers, turned into what people read."""
