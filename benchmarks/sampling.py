"""Random, space-filling and active samples at equal budgets: the error of what is fitted on them.

Every way chooses from the same pool, and every predictor is tested on the same architectures,
random ones that no way can choose. Truths: a formula on DARTS with noise, and with ``--help-table
FILE`` the measured latencies of HELP (npz, see docs/sampling.md) or with ``--store FILE`` those of
a store. A figure is a mean over seeds, a ratio is held against a random sample of the same size.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from harness import Figure, Outcome, figure, main

from latbench.encodings import encode
from latbench.predictors import make_predictor
from latbench.predictors.evaluation.folds import shuffled
from latbench.sampling.choosing import most_informative, space_filling
from latbench.sampling.rounds import round_ends
from latbench.spaces import AnySpace, darts, nasbench201
from latbench.store import Store
from latbench.store.dataset import network_numbers
from latbench.testing.fake import CostModelBackend

Floats = npt.NDArray[np.float64]
WAYS = ("random", "space-filling", "active")
PREDICTORS = ("ridge-counts", "ridge-one-hot", "lightgbm")
DEVICES = ("1080ti_1", "silver_4114", "gold_6226", "samsung_a50")
TESTS = ("all", "fastest tenth")
NOISE = 0.01


@dataclass(frozen=True)
class Truth:
    """Architectures with values: ``encoded`` by the name of the encoding; no network is both chosen
    from and tested on (``networks`` as in ``network_numbers``)."""

    name: str
    encoded: dict[str, Floats]
    values: Floats
    networks: npt.NDArray[np.int64]

    @classmethod
    def of(cls, name: str, space: AnySpace, architectures: list[Any], values: Floats) -> Truth:
        """Encoded once for all predictors."""
        encoded = {
            e: np.asarray(encode(space, architectures, e), float) for e in ("counts", "one_hot")
        }
        return cls(name, encoded, values, network_numbers(space, architectures))


def synthetic(rows: int) -> Truth:
    """The cost model's latency, a saturating term that no additive model has, and 1 % of noise."""
    space = darts(channels=8, cells=5)
    architectures = [a for _, a in space.unique_samples(0, rows)]
    backend = CostModelBackend(s_per_layer=2e-5)
    latency = np.array([backend.latency_s(space.build(a)) for a in architectures])
    bent = latency * (1 + 0.3 * np.tanh((latency - latency.mean()) / latency.std()))
    noise = np.random.default_rng(0).normal(0, NOISE, rows)
    return Truth.of("synthetic DARTS", space, architectures, bent * np.exp(noise))


def help_truths(path: Path, rows: int) -> list[Truth]:
    """Some devices of HELP's table of NAS-Bench-201, random rows of it."""
    table = np.load(path, allow_pickle=False)
    space = nasbench201()
    chosen = np.random.default_rng(0).permutation(table["latency_ms"].shape[1])[:rows]
    architectures = [space.parse(str(table["arch"][i])) for i in chosen]
    known = [d for d in DEVICES if d in table["devices"]]
    rows_of = [int(np.flatnonzero(table["devices"] == d)[0]) for d in known]
    return [
        Truth.of(f"HELP {d}", space, architectures, table["latency_ms"][r][chosen])
        for d, r in zip(known, rows_of, strict=True)
    ]


def stored(path: Path) -> list[Truth]:
    """Every set of a store with 200 rows or more."""
    with Store(path) as store:
        sets = [store.dataset(set_id=s.id) for s in store.sets() if s.ok >= 200]
    return [Truth.of(d.backend, d.space, list(d.architectures), d.values) for d in sets]


def chosen(way: str, truth: Truth, pool: npt.NDArray[np.int_], n: int, seed: int) -> Any:
    """``n`` rows of ``pool``, which is in random order."""
    if way == "random":
        return pool[:n]
    counts = truth.encoded["counts"]
    if way == "space-filling":
        return pool[space_filling(counts[pool], n)]
    predictor = make_predictor("ridge-counts")
    ends = round_ends(n, max(2, min(4, n // 20)))
    have = pool[: ends[0]]
    for end in ends[1:]:
        rest = pool[~np.isin(pool, have)]
        rows = most_informative(
            predictor, counts[have], truth.values[have], counts[rest], end - len(have), seed
        )
        have = np.concatenate([have, rest[rows]])
    return have


def errors(truth: Truth, budget: int, seed: int, predictors: tuple[str, ...]) -> Floats:
    """MAPE by way, predictor and test rows: the half that no way may choose from, and the fastest
    tenth of that half, where a search goes."""
    pool, test = shuffled(truth.networks, len(truth.values) // 2, seed)
    y = truth.values[test]
    fast = y <= np.quantile(y, 0.1)
    found = []
    for way in WAYS:
        rows = chosen(way, truth, pool, budget, seed)
        for name in predictors:
            predictor = make_predictor(name)
            X = truth.encoded[predictor.encoding]
            relative = np.abs(predictor.fit(X[rows], truth.values[rows]).predict(X[test]) / y - 1)
            found.append((relative.mean(), relative[fast].mean()))
    return np.reshape(found, (len(WAYS), len(predictors), len(TESTS)))


def compared(truth: Truth, budget: int, seeds: int, predictors: tuple[str, ...]) -> list[Figure]:
    """The random sample's MAPE, and the other ways' as a share of it with two standard errors."""
    runs = np.stack([errors(truth, budget, s, predictors) for s in range(seeds)])
    figures = []
    for (j, name), (k, test) in itertools.product(enumerate(predictors), enumerate(TESTS)):
        what, found = f"{truth.name}, {budget} rows, {name}, {test}", runs[:, :, j, k]
        figures.append(figure(f"{what}: random", 100 * found[:, 0].mean(), "% MAPE", seeds))
        for i, way in enumerate(WAYS[1:], 1):
            logs = np.log(found[:, i] / found[:, 0])
            spread = logs.std(ddof=1) / np.sqrt(seeds)
            ratio = f"{what}: {way} / random (±{2 * spread:.2f})"
            figures.append(figure(ratio, float(np.exp(logs.mean())), "", seeds))
    return figures


def benchmark(quick: bool, table: Path | None, store: Path | None) -> Outcome:
    """All truths, budgets and predictors; ``quick`` takes fewer of each."""
    rows, seeds, budgets = (600, 4, (60,)) if quick else (4000, 12, (40, 80, 160))
    predictors = PREDICTORS[:2] if quick else PREDICTORS
    truths = [synthetic(rows)]
    truths += help_truths(table, rows) if table else []
    truths += stored(store) if store else []
    figures = [
        f
        for truth in truths
        for budget in budgets
        if 4 * budget <= len(truth.values)
        for f in compared(truth, budget, seeds, predictors)
    ]
    return Outcome(figures)


if __name__ == "__main__":
    extra = argparse.ArgumentParser(add_help=False)
    extra.add_argument("--help-table", type=Path)
    extra.add_argument("--store", type=Path)
    given, rest = extra.parse_known_args()
    sys.argv[1:] = rest
    main("choosing samples", lambda quick: benchmark(quick, given.help_table, given.store))
