"""The matrix from a relaxed architecture to the encoding that a predictor reads.

A search differentiates the one-hot encoding. Operation counts are a sum of its entries, so that a
predictor of counts is differentiable in it too.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.optimize import nnls

from latbench.errors import UsageError
from latbench.predictors.base import no_gradient
from latbench.spaces import AnySpace
from latbench.spaces.base import Array
from latbench.spaces.encodings import encode

# Enough for every entry of DARTS' one-hot (the rarest occurs in 1 of 18 samples), and for that of a
# chain of 24 layers with 6 operations each; further ones try what was found.
_SAMPLES, _FURTHER = 1024, 256


@lru_cache(maxsize=16)  # a third of a second (2026-11-29), for every penalty of a sweep
def one_hot_matrix(space: AnySpace, encoding: str) -> Array:
    """Returns ``M`` with ``one_hot @ M == encoding`` on the whole space, float32
    ``(d_one_hot, d)``, read only.

    Each entry of the one-hot encoding adds a whole number, 0 or more, to each feature: those are
    found by least squares without negative terms (Lawson and Hanson, 1974). Plain least squares
    would agree on architectures but not between them: it spreads what the architectures'
    constraints leave open, which takes negative numbers wherever one option of each choice adds 0.
    Raises UsageError when the encoding is no such sum.
    """
    if encoding not in ("one_hot", "counts"):
        raise _no_sum(space, encoding)
    n = min(_SAMPLES + _FURTHER, 4 * space.size)
    architectures = [space.sample(0, i) for i in range(n)]
    one_hot = encode(space, architectures, "one_hot")
    if encoding == "one_hot":
        return np.eye(one_hot.shape[1], dtype=np.float32)
    target = encode(space, architectures, encoding)
    # An exact solution is one of the normal equations too, which are smaller.
    left, right = (part[:_SAMPLES].astype(float) for part in (one_hot, target))
    squares, products = left.T @ left, left.T @ right
    columns = [nnls(squares, product)[0] for product in products.T]
    matrix: Array = np.rint(np.stack(columns, axis=1)).astype(np.float32)
    if not np.array_equal(one_hot @ matrix, target):
        raise _no_sum(space, encoding)
    matrix.setflags(write=False)
    return matrix


def _no_sum(space: AnySpace, encoding: str) -> UsageError:
    return no_gradient(
        f"its encoding {encoding!r} of space {space.name!r} is no sum of one-hot entries"
    )
