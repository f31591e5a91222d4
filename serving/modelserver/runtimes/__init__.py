"""Ways to turn a version folder into something that answers."""
