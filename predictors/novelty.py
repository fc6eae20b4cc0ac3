"""The detection of architectures that are unlike those that a model was fitted on.

There are a distance with a threshold, and the range of the values that the model was fitted on.

The distance is the leverage of the architecture's operation counts: how far a linear model of the
training sample extrapolates to it (a Mahalanobis distance from the sample's mean; ridge keeps it
finite where the sample does not vary). The threshold is taken from the training rows themselves,
each held against the others, so that it needs no assumption on their distribution: a fresh
architecture drawn like them passes it with a probability of about 1 % (or one in ``n + 1`` for
fewer than 99 rows), as with a conformal p-value (Laxhammar and Falkman, 2010, "Conformal
prediction for distribution-independent anomaly detection").

Counts, whatever encoding the predictor reads: in a one-hot encoding of independent uniform choices
all architectures are equally far from the mean, one of skip connections only like any other.

The distance sees counts, the range what follows from them: a network whose counts are each common
may cost a quarter of the cheapest one that was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import ParseError
from latbench.predictors.safe_arrays import read_arrays, take, write_arrays

Floats = npt.NDArray[np.float64]
NOVELTY_FILE = "novelty.safetensors"
NOVELTY_ENCODING = "counts"
RATE = 0.01
# The share of the variance of a standardised feature that is added: shrinkage towards independent
# counts, without which a sample of hardly more rows than features tells nothing (on DARTS, a
# network of skip connections passes the threshold in 6 of 6 samples of 30 rows with 0.1 to 3, not
# with 0.01; 2026-11-24).
_RIDGE = 0.3
# By how much (a fraction) a prediction may leave the training values: the cheapest and the dearest
# of a sample are timed with noise, and a fresh network of the same kind is sometimes cheaper still.
MARGIN = 0.05


def beyond(values: Any, fitted: Any) -> npt.NDArray[np.bool_]:
    """Returns which predictions ``values (n,)`` lie beyond the training values by over ``MARGIN``.

    ``fitted (2,)`` are the smallest and the largest training value.
    """
    predicted = np.asarray(values, np.float64)
    low, high = fitted
    return np.asarray((predicted < low / (1 + MARGIN)) | (predicted > high * (1 + MARGIN)))


@dataclass(frozen=True, eq=False)
class Novelty:
    """The fitted distance: ``root (d, d)`` whitens centred counts, ``offset`` is the mean's own
    leverage, ``threshold`` what about one in a hundred training rows passes."""

    center: Floats
    root: Floats
    offset: float
    threshold: float

    @classmethod
    def fit(cls, X: Any) -> Novelty:
        """Fits on the counts ``X (n, d)`` of the training architectures, n >= 2."""
        features = np.asarray(X, np.float64)
        n = len(features)
        center = features.mean(axis=0)
        scale = features.std(axis=0)
        # What never varied, as if it had once: one occurrence more is then far away.
        scale[scale <= 1e-9] = 1 / math.sqrt(n)
        whitened = (features - center) / scale
        gram = whitened.T @ whitened + _RIDGE * n * np.eye(features.shape[1])
        root = np.linalg.inv(np.linalg.cholesky(gram)).T / scale[:, None]
        made = cls(center, root, 1 / n, 1.0)
        own = made._leverage(features)
        # Sherman and Morrison: the leverage of a row on the fit of all the others.
        alone = np.sort(own / np.maximum(1 - own, 1e-12))
        rank = min(math.ceil(round((n + 1) * (1 - RATE), 9)), n)
        return cls(center, root, 1 / n, float(alone[rank - 1]))

    def _leverage(self, features: Floats) -> Floats:
        projected = (features - self.center) @ self.root
        return np.asarray((projected**2).sum(axis=1) + self.offset)

    def __call__(self, X: Any) -> Floats:
        """Distances ``(n,)`` of counts ``X (n, d)`` in units of the threshold: above 1, an
        architecture is unlike the training sample."""
        return self._leverage(np.asarray(X, np.float64)) / self.threshold

    def save(self, directory: Path) -> None:
        """Writes the file that ``load`` reads."""
        scalars = np.array([self.offset, self.threshold])
        arrays = {"center": self.center, "root": self.root, "offset_threshold": scalars}
        write_arrays(directory / NOVELTY_FILE, arrays)

    @classmethod
    def load(cls, directory: Path, width: int) -> Novelty:
        """Reads what ``save`` wrote for counts of ``width``. Raises ParseError if it is not."""
        arrays = read_arrays(directory / NOVELTY_FILE)
        center = take(arrays, "center", (width,), np.float64)
        root = take(arrays, "root", (width, width), np.float64)
        offset, threshold = map(float, take(arrays, "offset_threshold", (2,), np.float64))
        if offset <= 0 or threshold <= 0:
            raise ParseError(f"{directory / NOVELTY_FILE} holds no positive threshold; fit again")
        return cls(center, root, offset, threshold)
