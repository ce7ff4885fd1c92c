"""The library that the DAGs call: one package per job, in the order in which data flows."""
