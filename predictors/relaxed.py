"""From a relaxed architecture to the encoding that a predictor reads.

A search differentiates the one-hot encoding. Operation counts are a sum of its entries, so that a
predictor of counts is differentiable in it too.
"""

from __future__ import annotations

import numpy as np

from latbench.encodings import encode
from latbench.errors import UsageError
from latbench.predictors.gradients import no_gradient
from latbench.spaces import AnySpace
from latbench.spaces.base import Array

# Enough for every entry of DARTS' one-hot (the rarest occurs in 1 of 18 samples) to be seen beside
# the absence of every other.
_SAMPLES = 1024


def one_hot_matrix(space: AnySpace, encoding: str) -> Array:
    """``M`` with ``one_hot @ M == encoding`` on the whole space, float32 ``(d_one_hot, d)``.

    Each entry of the one-hot encoding adds 1 to the features that are never 0 when it is chosen.
    Least squares would agree on architectures but not between them: it spreads what the
    architectures' constraints leave open. Raises UsageError when the encoding is no such sum.
    """
    if encoding not in ("one_hot", "counts"):
        raise _no_sum(space, encoding)
    architectures = [space.sample(0, i) for i in range(min(_SAMPLES, 4 * space.size))]
    one_hot = encode(space, architectures, "one_hot")
    if encoding == "one_hot":
        return np.eye(one_hot.shape[1], dtype=np.float32)
    target = encode(space, architectures, encoding)
    # How often entry j was chosen while feature k was 0.
    without = one_hot.T @ (target == 0)
    matrix: Array = ((without == 0) & (one_hot.sum(axis=0) > 0)[:, None]).astype(np.float32)
    if not np.array_equal(one_hot @ matrix, target):
        raise _no_sum(space, encoding)
    return matrix


def _no_sum(space: AnySpace, encoding: str) -> UsageError:
    return no_gradient(
        f"its encoding {encoding!r} of space {space.name!r} is no sum of one-hot entries"
    )
