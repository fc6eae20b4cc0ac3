"""Do 90 % intervals hold 90 %? Split-conformal intervals on every set with enough rows.

    python benchmarks/intervals.py [--store FILE] [--tables FOLDER] [--quick] [--json FILE]

For each measurement set of the store and each device of HELP's tables, and each of the predictors:
500 rows to fit, 500 to calibrate (of a set of fewer than 1,500 a third each), all others to count
how many fall inside their interval, mean of 10 seeds (rows shuffled). The coverage of one seed
varies by 1.3 % because 500 rows calibrate it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from harness import Figure, Outcome, main
from published_tables import load_space

from latbench.predictors import make_predictor
from latbench.predictors.evaluation.folds import shuffled
from latbench.spaces import nasbench201
from latbench.spaces.cells.nasbench201_space import EDGES, OPERATIONS
from latbench.store import Store

Floats, Ints = npt.NDArray[np.float64], npt.NDArray[np.int64]
LEVEL, LOW, HIGH = 0.9, 0.88, 0.92
MOST, FEWEST = 500, 300  # rows to fit, and as many to calibrate
TABLES = Path(__file__).parents[2] / "shared" / "data"


def coverage(name: str, X: Floats, y: Floats, networks: Ints, seeds: int) -> Floats:
    """Of each seed. No network is both tested and known."""
    found, part = [], min(MOST, len(y) // 3)
    for seed in range(seeds):
        known, test = shuffled(networks, 2 * part, seed)
        fit, calibrate = known[:part], known[part:]
        predictor = make_predictor(name).fit(X[fit], y[fit])
        predictor.calibrate(y[calibrate], predictor.predict(X[calibrate]))
        _, low, high = predictor.predict(X[test], return_interval=LEVEL)
        found.append(((low <= y[test]) & (y[test] <= high)).mean())
    return np.array(found)


def networks_of(name: str, X: Floats) -> Ints:
    """Of a table's one-hot vectors, a number for each; those of FBNet are all different."""
    if name != "nb201":
        return np.arange(len(X))
    ranks = X.reshape(len(X), len(EDGES), len(OPERATIONS)).argmax(2) @ 5 ** np.arange(len(EDGES))
    return np.unique(nasbench201().canonical_ranks(ranks), return_inverse=True)[1]


def table_sets(folder: Path, quick: bool) -> Iterator[tuple[str, Floats, Floats, Ints, str]]:
    """Name, one-hot vectors, latencies, networks and predictor of every device of HELP's tables."""
    for space in ("nb201", "fbnet"):
        if not (folder / f"help_{space}.npz").exists():
            continue
        table = load_space(folder, space)
        for device in sorted(table.latency)[: 2 if quick else None]:
            rows = table.usable(device)
            X, y = table.X[rows], table.latency[device][rows]
            yield f"{space} {device}", X, y, networks_of(space, X), "ridge-one-hot"


def store_sets(path: Path) -> Iterator[tuple[str, Floats, Floats, Ints, str]]:
    """The same for every measurement set of a store, and every predictor of the table."""
    with Store(path) as store:
        for found in store.sets():
            dataset = store.dataset(set_id=found.id)
            for name in ("ridge-counts", "ridge-layers", "mlp", "lightgbm"):
                X = dataset.encode(make_predictor(name).encoding).astype(float)
                yield f"{dataset.backend}, {name}", X, dataset.values, dataset.networks, name


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    seeds = 2 if quick else 10
    sets = list(table_sets(arguments.tables, quick))
    if arguments.store is not None:
        sets += store_sets(arguments.store)
    figures = []
    for label, X, y, networks, name in sets:
        if len(y) < 3 * FEWEST:
            continue
        share = float(coverage(name, X, y, networks, seeds).mean())
        met = LOW <= share <= HIGH
        figures.append(Figure(label, 100 * share, "% inside", seeds, "88 to 92", met))
        print(f"{label}: {100 * share:.1f} %", flush=True)
    return Outcome(figures)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, help="also every measurement set of this store")
    parser.add_argument("--tables", type=Path, default=TABLES, help="folder of HELP's tables")


if __name__ == "__main__":
    main("Coverage of 90 % intervals", benchmark, options)
