"""Pseudonyms and the epochs of their key, and what must not be found where."""
