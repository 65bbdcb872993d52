"""Passages packed end to end in one row, without padding: attention by boundaries, and the forwards built on it."""
