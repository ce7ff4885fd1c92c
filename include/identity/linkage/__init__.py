"""Probabilistic linkage: records of one person that share no identifier."""
