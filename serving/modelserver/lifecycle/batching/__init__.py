"""Runs of several requests put together: adaptive (the default), scheduled (`--enable_batching`), or none."""
