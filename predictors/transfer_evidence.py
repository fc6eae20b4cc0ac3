"""How far a few samples lean on each kind of feature: an average over all answers by evidence.

Each kind of feature is a Gaussian process with a linear kernel of prior variance 1; a mix of kinds
and a noise level make a model. A grid of both spans five decades, every model weighs as much as the
samples' marginal likelihood says (Rasmussen and Williams, 2006, Gaussian Processes for Machine
Learning, section 5.4.1), and the answer is their weighted mean. So no gain is tuned on any table;
choosing one gain by leave-one-out on 20 samples did worse.
"""

from __future__ import annotations

import itertools

import numpy as np

from latbench.predictors.base import Floats

# Gains of the second and later kinds of feature, relative to the first.
GAINS = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0)
# Variances of the noise, relative to the features' prior variance.
NOISES = np.logspace(-3.5, 0.5, 9)
# The noise is proportional to the value (errors are judged relatively), but no less than that of
# half the median: an artefact near zero would otherwise decide alone.
_LEAST_SHARE = 0.5


def noise_scale(y: Floats) -> Floats:
    """Relative standard deviation of each sample's noise ``(n,)``, in the unit of ``y``."""
    return np.asarray(np.maximum(y, _LEAST_SHARE * np.median(y)))


def average(features: list[Floats], y: Floats) -> tuple[list[Floats], float]:
    """Weights of each kind's features and a constant, averaged by evidence.

    ``features`` are one ``(n, m)`` a kind, scaled to a prior variance of about 1; ``y (n,)`` is of
    the size of 1. The prediction is the constant plus the sum of ``features @ weights``. The size
    of all kernels together is integrated out, so is the constant.
    """
    n, scale = len(y), noise_scale(y)
    mixes = _mixes(len(features))
    grams = np.stack([f @ f.T for f in features])
    kernels = np.einsum("aj,jnm->anm", mixes, grams) / (scale[:, None] * scale)
    values, vectors = np.linalg.eigh(kernels)
    variances = np.maximum(values, 0)[:, None] + NOISES[:, None]  # (mixes, noises, n)
    rotated = np.swapaxes(vectors, 1, 2) @ np.stack([y / scale, 1 / scale], axis=1)
    target, one = rotated[:, None, :, 0], rotated[:, None, :, 1]
    ones = (one**2 / variances).sum(axis=-1)
    constants = (one * target / variances).sum(axis=-1) / ones
    rest = target - constants[..., None] * one
    # Where nothing is left to explain, every model explains it.
    squares = np.maximum((rest**2 / variances).sum(axis=-1), 1e-12)
    log = -((n - 1) * np.log(squares) + np.log(variances).sum(axis=-1) + np.log(ones)) / 2
    share = np.exp(log - log.max())
    share /= share.sum()
    solved = np.einsum("ab,abm->am", share, rest / variances)
    dual = mixes.T @ (np.einsum("anm,am->an", vectors, solved) / scale)
    return [f.T @ d for f, d in zip(features, dual, strict=True)], float((share * constants).sum())


def _mixes(kinds: int) -> Floats:
    grid = [(1.0, *gains) for gains in itertools.product(GAINS, repeat=kinds - 1)]
    mixes = np.array(grid)
    return np.asarray(mixes / mixes.sum(axis=1, keepdims=True))
