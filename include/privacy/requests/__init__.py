"""Privacy requests: what is held of a person, its erasure with a proof, and objections, from a queue of files."""
