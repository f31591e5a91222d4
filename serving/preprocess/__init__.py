"""Pictures, texts and rows to tensors: the one preparation that training and both servers share."""
