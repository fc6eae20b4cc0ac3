"""Ways to a predictor of a new device from a few samples and a ``Prior``.

Each is ``method(prior, X, y) -> predictor``: one-hot ``X (n, d)`` and positive ``y (n,)`` of the
new device, and back a fitted ``RidgeOneHot`` or ``MlpOneHot``, which a search can use like any
other.

``counts``     ridge on operation counts of the samples alone: no transfer, the baseline
``nearest``    one source's prediction times one factor; the source by leave-one-out
``ridge``      ridge on all sources' predictions, operation counts and (weakly) single choices
``warm-mlp``   the network of the closest source, all its weights trained on from there
``embedding``  the network's shared features, with an embedding for the new device in the last layer
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from sklearn.linear_model import RidgeCV

from latbench.predictors.base import Floats, LatencyPredictor
from latbench.predictors.mlp import MlpOneHot, one_thread
from latbench.predictors.ridge import ALPHAS, RidgeOneHot
from latbench.predictors.transfer_prior import HIDDEN, Prior, spread_of

Method = Callable[[Prior, Floats, Floats], LatencyPredictor]

# How far the ridge leans on each kind of feature, relative to the sources' predictions. Chosen on
# HELP's FBNet and NAS-Bench-201 tables, see benchmarks/published.py; a grid by leave-one-out on 20
# samples chose worse.
_COUNTS_GAIN, _CHOICE_GAIN = 0.3, 0.05
_FEATURE_GAIN = 0.1
_FINE_TUNING_STEPS, _FINE_TUNING_RATE = 60, 1e-3


def counts(prior: Prior, X: Floats, y: Floats) -> RidgeOneHot:
    """Ridge on operation counts of the samples alone."""
    return _additive(prior, _count_features(prior), X, y)


def ridge(prior: Prior, X: Floats, y: Floats) -> RidgeOneHot:
    """Ridge on the sources' predictions, operation counts and single choices.

    Relative squared error, no logarithm: all three are sums over the one-hot entries, so the
    result is one too.
    """
    deviation = (prior.reference - prior.center) @ prior.coefs.T
    sources = prior.coefs.T / spread_of(deviation) / np.sqrt(len(prior.coefs))
    choices = np.diag(1 / prior.scale)
    features = [sources, _COUNTS_GAIN * _count_features(prior), _CHOICE_GAIN * choices]
    return _additive(prior, np.concatenate(features, axis=1), X, y)


def nearest(prior: Prior, X: Floats, y: Floats) -> RidgeOneHot:
    """The source that, times one factor, is closest to samples left out of that factor."""
    # (k, n): predictions over measurements; the factor minimises the squared relative error.
    ratio = (prior.levels[:, None] + prior.coefs @ (X - prior.center).T) / y
    ones, squares = ratio.sum(axis=1), (ratio**2).sum(axis=1)
    without = (ones[:, None] - ratio) / np.maximum(squares[:, None] - ratio**2, 1e-300)
    best = int(np.argmin(np.abs(without * ratio - 1).mean(axis=1)))
    factor = ones[best] / squares[best]
    return _ridge_of(prior, factor * prior.coefs[best], factor * prior.levels[best], y)


def embedding(prior: Prior, X: Floats, y: Floats) -> MlpOneHot:
    """Shared features, and a ridge for the last layer that leans on the sources' embeddings."""
    heads = prior.layers[-1][0]
    reference = prior.features(prior.reference)
    sources = heads.T / spread_of(reference @ heads.T) / np.sqrt(len(heads))
    own = np.diag(_FEATURE_GAIN / spread_of(reference))
    basis = np.concatenate([sources, own], axis=1)
    mean = reference.mean(axis=0)
    log = np.log(y)
    model = RidgeCV(list(ALPHAS)).fit((prior.features(X) - mean) @ basis, log)
    head = basis @ model.coef_
    return _mlp_of(prior, [*prior.layers[:-1], (head[None], -(mean @ head)[None])],
                   float(model.intercept_), 1.0, y)  # fmt: skip


def warm_mlp(prior: Prior, X: Floats, y: Floats) -> MlpOneHot:
    """The closest source's network, fine-tuned as a whole on the samples."""
    weight, bias = prior.layers[-1]
    log = np.log(y)
    start = (prior.features(X) @ weight.T + bias) * prior.spreads
    best = int(np.argmin((start - log[:, None]).std(axis=0)))
    level, spread = float((log - start[:, best]).mean()), float(prior.spreads[best])
    layers = [*prior.layers[:-1], (weight[best][None], bias[best][None])]
    return _mlp_of(
        prior, _fine_tune(layers, X - prior.center, (log - level) / spread), level, spread, y
    )


METHODS: dict[str, Method] = {
    "counts": counts,
    "nearest": nearest,
    "ridge": ridge,
    "warm-mlp": warm_mlp,
    "embedding": embedding,
}


# Those that read ``Prior.layers``.
NETWORK_METHODS = ("warm-mlp", "embedding")


def _count_features(prior: Prior) -> Floats:
    return prior.counts / spread_of(prior.reference @ prior.counts)


def _additive(prior: Prior, basis: Floats, X: Floats, y: Floats) -> RidgeOneHot:
    """Ridge on ``(X - center) @ basis``, as costs of the one-hot entries."""
    unit = y.mean()
    model = RidgeCV(list(ALPHAS))
    model.fit((X - prior.center) @ basis, y / unit, sample_weight=(unit / y) ** 2)
    coef = basis @ np.asarray(model.coef_) * unit
    return _ridge_of(prior, coef, float(model.intercept_ * unit), y, float(model.alpha_))


def _ridge_of(
    prior: Prior, coef: Floats, intercept: float, y: Floats, alpha: float = 0.0
) -> RidgeOneHot:
    predictor = RidgeOneHot()
    predictor.center_, predictor.coef_ = prior.center, coef
    predictor.intercept_, predictor.alpha_ = float(intercept), alpha
    predictor.range_, predictor.n_features_in_ = np.array([y.min(), y.max()]), len(coef)
    return predictor


def _mlp_of(
    prior: Prior, layers: list[tuple[Floats, Floats]], level: float, spread: float, y: Floats
) -> MlpOneHot:
    predictor = MlpOneHot(hidden=HIDDEN)
    predictor.center_ = prior.center.astype(np.float32)
    predictor.scale_, predictor.level_, predictor.spread_ = 1.0, level, spread
    predictor.layers_ = [(w.astype(np.float32), b.astype(np.float32)) for w, b in layers]
    predictor.range_, predictor.n_features_in_ = np.array([y.min(), y.max()]), len(prior.center)
    return predictor


def _fine_tune(
    layers: list[tuple[Floats, Floats]], X: Floats, y: Floats
) -> list[tuple[Floats, Floats]]:
    weights = [
        torch.tensor(part, dtype=torch.float32, requires_grad=True)
        for pair in layers
        for part in pair
    ]
    inputs, target = (torch.from_numpy(a.astype(np.float32)) for a in (X, y))
    optimizer = torch.optim.Adam(weights, lr=_FINE_TUNING_RATE)
    with one_thread(), torch.enable_grad():
        for _ in range(_FINE_TUNING_STEPS):
            hidden = inputs
            for i in range(0, len(weights), 2):
                hidden = torch.nn.functional.linear(hidden, weights[i], weights[i + 1])
                hidden = torch.relu(hidden) if i + 2 < len(weights) else hidden
            loss = torch.nn.functional.mse_loss(hidden[:, 0], target)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    arrays = [w.detach().numpy().astype(np.float64) for w in weights]
    return list(zip(arrays[::2], arrays[1::2], strict=True))
