"""HTTP/2 for the gRPC port: frames, headers, flow control, limits. RFC 9113; nothing here knows gRPC or models."""
