"""Ways to a predictor of a new device from a few samples and a ``Prior``.

Each is ``method(prior, X, y) -> predictor``: one-hot ``X (n, d)`` and positive ``y (n,)`` of the
new device, and back a fitted ``RidgeOneHot`` or ``MixtureOneHot``, which a search can use like any
other.

``counts``   ridge on operation counts of the samples alone: no transfer, the baseline
``nearest``  one source's sums times one factor; the source by leave-one-out
``ridge``    a ridge on all sources' sums, operation counts and single choices
``mixture``  that, and the same with sums times a network's correction: the default
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import RidgeCV

from latbench.errors import UsageError
from latbench.predictors.base import Floats, LatencyPredictor
from latbench.predictors.families.mixture import Devices, MixtureOneHot, spread_of
from latbench.predictors.families.ridge import ALPHAS, RidgeOneHot
from latbench.predictors.transfer.evidence import average
from latbench.predictors.transfer.prior import Prior

Method = Callable[[Prior, Floats, Floats], LatencyPredictor]


def counts(prior: Prior, X: Floats, y: Floats) -> RidgeOneHot:
    """Fits a ridge on operation counts of the samples alone, relative squared error."""
    basis = prior.counts / spread_of(prior.reference @ prior.counts)
    unit = y.mean()
    model = RidgeCV(list(ALPHAS))
    features = (X - prior.devices.center) @ basis
    model.fit(features, y / unit, sample_weight=(unit / y) ** 2)
    coef = basis @ np.asarray(model.coef_) * unit
    return _ridge_of(prior, coef, float(model.intercept_ * unit), y, float(model.alpha_))


def nearest(prior: Prior, X: Floats, y: Floats) -> RidgeOneHot:
    """Takes the source that, times one factor, is closest to samples left out of that factor."""
    sums = _sums(prior)
    # (k, n): predictions over measurements; the factor minimises the squared relative error.
    ratio = sums.values(X).T / y
    ones, squares = ratio.sum(axis=1), (ratio**2).sum(axis=1)
    without = (ones[:, None] - ratio) / np.maximum(squares[:, None] - ratio**2, 1e-300)
    best = int(np.argmin(np.abs(without * ratio - 1).mean(axis=1)))
    factor = ones[best] / squares[best]
    return _ridge_of(prior, factor * sums.coefs[best], factor * sums.levels[best], y)


def ridge(prior: Prior, X: Floats, y: Floats) -> RidgeOneHot:
    """Weighs sources' sums, operation counts and single choices by evidence (``average``).

    There is no logarithm: all three are sums over the one-hot entries, so the result is one too.
    """
    sums = _weigh(prior, _sums(prior), X, y)
    return _ridge_of(prior, sums.own + sums.sources @ prior.devices.coefs,
                     sums.level + float(sums.sources @ prior.devices.levels), y)  # fmt: skip


def mixture(prior: Prior, X: Floats, y: Floats) -> MixtureOneHot:
    """Fits ``ridge`` and the same with the sources' corrected costs, each as likely as the samples
    say.

    Raises UsageError for a prior without a network.
    """
    if not prior.devices.layers:
        raise UsageError("mixture needs a prior with a network; learn it with network=True")
    corrected = _weigh(prior, prior.devices, X, y)
    sums = _weigh(prior, _sums(prior), X, y)
    share = float(np.exp(-np.logaddexp(0, sums.log_evidence - corrected.log_evidence)))
    # Sources' sums go into the own sum.
    own = sums.own + sums.sources @ prior.devices.coefs
    level = sums.level + float(sums.sources @ prior.devices.levels)
    predictor = MixtureOneHot()
    predictor.devices_, predictor.weights_ = prior.devices, share * corrected.sources
    predictor.own_ = share * corrected.own + (1 - share) * own
    predictor.level_ = share * corrected.level + (1 - share) * level
    predictor.range_, predictor.n_features_in_ = np.array([y.min(), y.max()]), X.shape[1]
    return predictor


METHODS: dict[str, Method] = {
    "counts": counts,
    "nearest": nearest,
    "ridge": ridge,
    "mixture": mixture,
}
# Those that read the layers of ``Prior.devices``.
NETWORK_METHODS = ("mixture",)


def _sums(prior: Prior) -> Devices:
    return replace(prior.devices, layers=())


@dataclass(frozen=True)
class _Weights:
    """The weights of the sources ``(k,)``, own costs ``(d,)`` and the level at the centre, in the
    unit of y."""

    sources: Floats
    own: Floats
    level: float
    log_evidence: float


def _weigh(prior: Prior, devices: Devices, X: Floats, y: Floats) -> _Weights:
    unit = float(y.mean())
    sources = _gains(devices.values(prior.reference))
    kinds = _gains(prior.reference @ prior.counts), _gains(prior.reference)
    bases = [prior.counts * kinds[0], np.diag(kinds[1])]
    centred = X - devices.center
    found = average([devices.values(X) * sources, *(centred @ b for b in bases)], y / unit)
    own = bases[0] @ found.weights[1] + bases[1] @ found.weights[2]
    return _Weights(
        found.weights[0] * sources * unit, own * unit, found.constant * unit, found.log_evidence
    )


def _gains(values: Floats) -> Floats:
    """Factors ``(m,)`` that make the variance of all columns together 1."""
    factors: Floats = 1 / spread_of(values)
    return np.asarray(factors / np.sqrt(max(1, int((factors > 0).sum()))))


def _ridge_of(
    prior: Prior, coef: Floats, intercept: float, y: Floats, alpha: float = 0.0
) -> RidgeOneHot:
    predictor = RidgeOneHot()
    predictor.center_, predictor.coef_ = prior.devices.center, coef
    predictor.intercept_, predictor.alpha_ = float(intercept), alpha
    predictor.range_, predictor.n_features_in_ = np.array([y.min(), y.max()]), len(coef)
    return predictor
