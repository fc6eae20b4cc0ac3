"""A latency model of a new device or backend from a few samples and other devices' measurements.

Source sets are large and of the same space and metric; the new set has 5 samples or more, typically
20. See ``methods`` for the candidates and ``choice`` for how one of them is chosen;
``docs/transfer.md`` has the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latbench._version import __version__
from latbench.encodings import encoding_of
from latbench.errors import SpaceMismatchError, UsageError
from latbench.predictors.card import Card, as_json, library_versions
from latbench.predictors.evaluation.metrics import Interval, evaluate
from latbench.predictors.model import LatencyModel
from latbench.predictors.registry import predictor_name
from latbench.predictors.transfer.choice import Choice, choose
from latbench.predictors.transfer.methods import METHODS, NETWORK_METHODS
from latbench.predictors.transfer.prior import Source, learn
from latbench.store.dataset import LatencyDataset

__all__ = ["METHODS", "Transfer", "transfer"]


@dataclass(frozen=True)
class Transfer:
    """The result of a transfer: ``model`` is of the chosen ``method``; it saves, loads and searches
    like any other.

    ``metrics`` are every candidate's cross-validated figures on the samples, see
    ``latbench.predictors.evaluation.metrics``. Those of the chosen one flatter it a little: it was
    chosen by them. ``sources`` names what it learnt from.
    """

    model: LatencyModel
    method: str
    metrics: dict[str, dict[str, Interval]]
    sources: tuple[str, ...]


def transfer(
    sources: Sequence[LatencyDataset],
    samples: LatencyDataset,
    *,
    methods: Sequence[str] = tuple(METHODS),
    seed: int = 0,
) -> Transfer:
    """Fits a model of the device of ``samples``; only these samples decide which method.

    The result depends on the data and ``seed`` only.

    Args:
        sources: The measurements of other devices.
        samples: The measurements of the new device.
        methods: The names of the methods to choose from.
        seed: The seed of the learning and of the folds.

    Returns:
        The model, the chosen method, each method's metrics and the sources' names.

    Raises:
        SpaceMismatchError: For a source of another space.
        UsageError: For another metric, an unknown method or no source.
        NotEnoughData: For fewer than five samples or a source of fewer than 20 rows.
    """
    for source in sources:
        _require_same(source, samples)
    counts = samples.space.counts_matrix().astype(np.float64)
    names = _names(sources)
    prior = learn(
        [
            Source(name, s.encode("one_hot").astype(np.float64), s.values)
            for name, s in zip(names, sources, strict=True)
        ],
        counts,
        network=not set(methods).isdisjoint(NETWORK_METHODS),
        seed=seed,
    )
    X = samples.encode("one_hot").astype(np.float64)
    choice = choose(prior, X, samples.values, methods=methods, seed=seed, networks=samples.networks)
    metrics = {m: evaluate(samples.values, p, seed=seed) for m, p in choice.predicted.items()}
    model = LatencyModel(
        samples.space, choice.predictor, _card(samples, sources, choice, metrics[choice.method])
    )
    return Transfer(model, choice.method, metrics, names)


def _require_same(source: LatencyDataset, samples: LatencyDataset) -> None:
    if source.space != samples.space:
        raise SpaceMismatchError(
            f"the source {source.backend} on {source.device} is of {source.space}, the samples are "
            f"of {samples.space}; a transfer stays within one space"
        )
    if source.metric != samples.metric:
        raise UsageError(
            f"the source {source.backend} on {source.device} holds {source.metric.label}, the "
            f"samples {samples.metric.label}; use one metric"
        )


def _names(sources: Sequence[LatencyDataset]) -> tuple[str, ...]:
    """``backend on device``; the second one of a name becomes ``... (2)``."""
    plain = [f"{s.backend} on {s.device}" for s in sources]
    before = [plain[:i].count(name) for i, name in enumerate(plain)]
    return tuple(
        f"{name} ({n + 1})" if n else name for name, n in zip(plain, before, strict=True)
    )  # fmt: skip


def _card(
    samples: LatencyDataset, sources: Sequence[LatencyDataset], choice: Choice,
    metrics: dict[str, Interval],
) -> Card:  # fmt: skip
    origin = {
        "method": choice.method,
        "sources": [
            {"backend": s.backend, "device": s.device, "samples": len(s), "set": s.fingerprint()}
            for s in sources
        ],
    }
    conditions = {**samples.conditions, "transfer": origin}
    encoding = encoding_of(choice.predictor.encoding)
    return Card(
        latbench=__version__,
        predictor=predictor_name(choice.predictor),
        params=as_json(choice.predictor.get_params(), "a predictor's parameters"),
        encoding=encoding.name,
        encoding_version=encoding.version,
        space=as_json(samples.space.identity(), "a space's identity"),
        backend=samples.backend,
        device=samples.device,
        metric=samples.metric.name,
        conditions=as_json(conditions, "the conditions of a measurement"),
        samples=len(samples),
        fingerprint=samples.fingerprint(),
        noise_floor=samples.noise_floor,
        metrics=metrics,
        versions=library_versions(),
    )
