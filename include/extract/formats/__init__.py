"""Formats: how the bytes of a file become rows, each with its number and its raw text."""
