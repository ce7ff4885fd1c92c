"""One thread for every numeric library, so that results repeat and neighbours keep their cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import scipy.linalg  # noqa: F401  loads the BLAS that is to be limited beside numpy's
from threadpoolctl import threadpool_limits


@contextmanager
def single_threaded() -> Iterator[None]:
    """Limit OpenMP and BLAS to one thread until the block ends, as far as they are loaded when it begins: modules that
    use scikit-learn import it at their top, and the others do not wait a second for it.

    Histogram boosting took 249 s with default threads and 54 s with one on a busy machine, and sums of floats
    depend on how many threads share them.
    """
    with threadpool_limits(limits=1):
        yield
