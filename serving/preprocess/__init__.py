"""Pictures and texts to tensors: the one preparation that training and both servers share."""
