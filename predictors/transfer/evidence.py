"""The weight of each kind of feature for a few samples: an average over all answers by evidence.

Each kind of feature is a Gaussian process with a linear kernel of prior variance 1; a mix of kinds
and a noise level make a model. Every model of a grid weighs as much as the samples' marginal
likelihood says (Rasmussen and Williams, 2006, Gaussian Processes for Machine Learning, section
5.4.1), and the answer is their weighted mean. So no gain is set by hand; choosing one gain by
leave-one-out on 20 samples did worse (2026-11-24).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from latbench.predictors.base import Floats

# Shares of the kinds are sin^2 of equal steps: Jeffreys' prior for shares, denser near 0 and 1.
_STEPS = 8
# Variances of the noise, relative to the features' prior variance.
NOISES = np.logspace(-3.5, 0.5, 9)
# The noise is proportional to the value (errors are judged relatively), but no less than that of
# half the median: an artefact near zero would otherwise decide alone.
_LEAST_SHARE = 0.5


@dataclass(frozen=True)
class Average:
    """An average: ``constant`` plus the sum of ``features @ weights`` over the kinds;
    ``log_evidence`` is that of the whole grid, to compare with other features for the same
    samples."""

    weights: list[Floats]
    constant: float
    log_evidence: float


def noise_scale(y: Floats) -> Floats:
    """Returns the relative standard deviation of each sample's noise ``(n,)``, in the unit of
    ``y``."""
    return np.asarray(np.maximum(y, _LEAST_SHARE * np.median(y)))


def average(features: list[Floats], y: Floats) -> Average:
    """Returns weights of each kind's features and a constant, averaged by evidence.

    ``features`` are one ``(n, m)`` a kind, scaled to a prior variance of about 1; ``y (n,)`` is of
    the size of 1. The constant has a flat prior and is integrated out; the size of all kernels
    together is the likeliest one.
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
    evidence = float(log.max() + np.log(share.mean()))
    share /= share.sum()
    solved = np.einsum("ab,abm->am", share, rest / variances)
    dual = mixes.T @ (np.einsum("anm,am->an", vectors, solved) / scale)
    weights = [f.T @ d for f, d in zip(features, dual, strict=True)]
    return Average(weights, float((share * constants).sum()), evidence)


def _mixes(kinds: int) -> Floats:
    """Shares of each kind ``(mixes, kinds)``, every row sums to 1."""
    steps = itertools.product(range(_STEPS + 1), repeat=kinds)
    grid = np.array([s for s in steps if sum(s) == _STEPS])
    shares = np.sin(grid * np.pi / (2 * _STEPS)) ** 2
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
