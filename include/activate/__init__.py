"""Activation: who may be sent where, the files of it, and their delivery."""
