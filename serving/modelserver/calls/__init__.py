"""One file per call of the protocol; every door (gRPC, REST, Open Inference) leads here."""
