"""The life of a model version: found, loaded, warmed, available, drained, gone."""
