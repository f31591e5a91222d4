"""Data in, a published and measured version out."""
