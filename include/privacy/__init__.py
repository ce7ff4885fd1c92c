"""Pseudonyms, and later consent, erasure and retention."""
