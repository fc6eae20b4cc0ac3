"""Rows in parts for judging a predictor, every network in one part.

A network (``SearchSpace.canonical``) with a row in the training and one in the test part would show
how well a predictor remembers. ``networks`` are ``LatencyDataset.networks``: a number for each row,
equal for rows of one network, from 0 in the order of their first rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold

from latbench.errors import NotEnoughData
from latbench.spaces.base import Ints

Rows = npt.NDArray[np.int_]
Folds = list[tuple[Rows, Rows]]


def folds_of(networks: Ints, folds: int, seed: int) -> Folds:
    """Returns the rows to fit on and to test on of each fold of a shuffled cross-validation.

    Each fold has as many networks as the others, give or take one. Where no two rows are of one
    network, these are the folds of scikit-learn's ``KFold``. Raises NotEnoughData for fewer
    networks than folds.
    """
    different = int(networks.max(initial=-1)) + 1
    if different < folds:
        raise NotEnoughData(
            f"{folds} folds need as many different networks, the rows are of {different}; measure "
            "more architectures"
        )
    splits = KFold(folds, shuffle=True, random_state=seed).split(np.arange(different))
    tests = [np.isin(networks, test) for _, test in splits]
    return [(np.flatnonzero(~test), np.flatnonzero(test)) for test in tests]


def shuffled(networks: Ints, first: int, seed: int) -> tuple[Rows, Rows]:
    """Returns about the ``first`` rows of a random order of the networks, and the others.

    The first part is shorter where a network would lie in both; it has one at least.
    """
    order = np.random.default_rng(seed).permutation(int(networks.max()) + 1)
    rows = np.argsort(np.argsort(order)[networks], kind="stable")
    begins = np.flatnonzero(np.diff(networks[rows])) + 1  # of all networks but the first
    cut = max(begins[begins <= first], default=begins[0] if len(begins) else len(rows))
    return rows[:cut], rows[cut:]
