"""Serve models: a gateway for people, a model server for services, and what they share."""
