"""One thread for every numeric library, so that results repeat and neighbours keep their cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sklearn.ensemble  # noqa: F401  loads the OpenMP and BLAS libraries that are to be limited
from threadpoolctl import threadpool_limits


@contextmanager
def single_threaded() -> Iterator[None]:
    """Limit OpenMP and BLAS to one thread until the block ends.

    Histogram boosting took 249 s with default threads and 54 s with one on a busy machine, and sums of floats
    depend on how many threads share them.
    """
    with threadpool_limits(limits=1):
        yield
