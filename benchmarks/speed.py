"""How many architectures a second are encoded and predicted, and how long a fit takes: one core.

    python benchmarks/speed.py [--quick] [--json FILE]

DARTS architectures; for latencies, sums over their operations times 1 % of noise, since the values
do not change the speed. Rates are of processor time, which other processes disturb less than the
clock; each is the best of three.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import Figure, Outcome, figure, main

from latbench.encodings import encode
from latbench.predictors import make_predictor
from latbench.predictors.evaluation.compare import compare
from latbench.predictors.model import LatencyModel
from latbench.spaces import darts
from latbench.store.dataset import LatencyDataset

SPACE = darts()
PREDICTED = ("mlp", "mlp-one-hot", "ridge-counts")
TARGET_ENCODED, TARGET_PREDICTED, TARGET_FIT_S = 200_000, 1_000_000, 60
DEFAULT = "mlp"


def seconds(action: Callable[[], Any]) -> float:
    """Processor time, the least of three."""
    found = []
    for _ in range(3):
        start = time.process_time()
        action()
        found.append(time.process_time() - start)
    return min(found)


def encoding_rates(architectures: list[Any]) -> list[Figure]:
    """The two encodings that need no network to be built."""
    n = len(architectures)
    rates = {
        e: n / seconds(lambda e=e: encode(SPACE, architectures, e))  # type: ignore[misc]
        for e in ("counts", "one_hot")
    }
    return [
        figure(f"encoding, {e}", rate, "architectures/s", n, at_least=TARGET_ENCODED)
        for e, rate in rates.items()
    ]


def dataset_of(architectures: list[Any]) -> LatencyDataset:
    """The architectures with made-up latencies (s)."""
    counts = encode(SPACE, architectures, "counts").astype(float)
    rng = np.random.default_rng(0)
    y = counts @ rng.uniform(1e-4, 1e-3, counts.shape[1]) + 5e-3
    y *= rng.normal(1, 0.01, len(y))
    return LatencyDataset(SPACE, tuple(architectures), y, "made up", "none")


def benchmark(quick: bool) -> Outcome:
    import torch

    torch.set_num_threads(1)
    n = 2_000 if quick else 10_000
    architectures = [SPACE.sample(0, i) for i in range(n)]
    figures = encoding_rates(architectures)
    dataset = dataset_of(architectures)
    for name in PREDICTED:
        predictor = make_predictor(name)
        X = dataset.encode(predictor.encoding)
        predictor.fit(X[:1000], dataset.values[:1000])
        many = np.resize(X, (20 * n, X.shape[1]))
        rate = len(many) / seconds(lambda p=predictor, m=many: p.predict(m))  # type: ignore[misc]
        target = TARGET_PREDICTED if name == DEFAULT else None
        figures.append(figure(f"prediction, {name}", rate, "architectures/s", len(many),
                              at_least=target))  # fmt: skip
    start = time.process_time()
    result = compare(dataset, [DEFAULT])[0]
    made = make_predictor(DEFAULT)
    LatencyModel.fit(dataset, made, metrics=result.metrics, out_of_fold=result.predicted)
    taken = time.process_time() - start
    what = f"fit of {DEFAULT} with five-fold errors and intervals"
    figures.append(figure(what, taken, "s", n, at_most=TARGET_FIT_S))
    return Outcome(figures)


if __name__ == "__main__":
    main("Speed of encoding, prediction and fitting", benchmark)
