"""Values in one spelling: dictionaries of the distinct landed values, which staging joins.

`landing.normalise_landing` is the step. Nothing is imported here, because reading a configuration needs the taxonomy
and not the libraries.
"""
