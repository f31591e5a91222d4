"""The recipes: one file per model, each defines RECIPE; a new file is found by being there."""
