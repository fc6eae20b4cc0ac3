"""Transfer between columns of a table of whole models."""

from __future__ import annotations

import numpy as np
import pytest

from latbench.errors import NotEnoughData, UsageError
from latbench.predictors.transfer.lookup import (
    complete,
    nearest_column,
    ridge_columns,
    transfer_lookup,
)

RNG = np.random.default_rng(0)
SIZES = np.exp(RNG.uniform(-2, 4, 80))
# Two families of runtimes; the new one is like the second column.
TABLE = np.stack([SIZES, SIZES**0.7 * np.exp(RNG.normal(0, 0.4, 80)), 3 * SIZES], axis=1)
NEW = 5 * TABLE[:, 1]
SAMPLED = RNG.permutation(80)[:12]


def test_gaps_are_filled_with_row_and_column_effects() -> None:
    additive = np.outer(SIZES, [1.0, 4.0, 0.5])
    holes = additive.copy()
    holes[3, 1] = holes[10, 0] = holes[10, 2] = np.nan
    assert np.allclose(complete(holes), np.log(additive), atol=1e-3)


def test_nearest_finds_the_like_column_and_its_factor() -> None:
    predicted = nearest_column(complete(TABLE), SAMPLED, NEW[SAMPLED])
    assert np.allclose(predicted, NEW)


def test_the_choice_uses_the_samples_only() -> None:
    name, predicted = transfer_lookup(complete(TABLE), SAMPLED, NEW[SAMPLED])
    assert name == "nearest"
    assert np.allclose(predicted, NEW)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(NotEnoughData, match="needs 5 samples"):
        transfer_lookup(complete(TABLE), SAMPLED[:4], NEW[SAMPLED[:4]])
    with pytest.raises(UsageError, match="needs a value"):
        complete(np.array([[1.0, np.nan], [2.0, np.nan]]))
    with pytest.raises(UsageError, match="must be positive"):
        complete(np.array([[1.0, 0.0]]))


def test_ridge_does_not_run_away() -> None:
    """A sample of small models only, on a table with one model a million times as large."""
    table = np.vstack([TABLE, 1e6 * TABLE[:1]])
    predicted = ridge_columns(complete(table), SAMPLED, NEW[SAMPLED])
    assert predicted.max() <= 10 * NEW[SAMPLED].max() * (1 + 1e-9)
