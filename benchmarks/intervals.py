"""Do 90 % intervals hold 90 %? Split-conformal intervals on every set with enough rows.

    python benchmarks/intervals.py [--store FILE] [--tables FOLDER] [--quick] [--json FILE]

For each measurement set of the store and each device of HELP's tables, and each of the predictors:
500 rows to fit, 500 to calibrate, all others to count how many fall inside their interval, mean of
10 seeds (rows shuffled). The coverage of one seed varies by 1.3 % because 500 rows calibrate it.
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
from latbench.store import Store

Floats = npt.NDArray[np.float64]
LEVEL, LOW, HIGH = 0.9, 0.88, 0.92
FITTED = CALIBRATED = 500
TABLES = Path(__file__).parents[2] / "shared" / "data"


def coverage(name: str, X: Floats, y: Floats, seeds: int) -> Floats:
    """Of each seed."""
    found = []
    for seed in range(seeds):
        rows = np.random.default_rng(seed).permutation(len(y))
        fit, calibrate, test = np.split(rows, [FITTED, FITTED + CALIBRATED])
        predictor = make_predictor(name).fit(X[fit], y[fit])
        predictor.calibrate(y[calibrate], predictor.predict(X[calibrate]))
        _, low, high = predictor.predict(X[test], return_interval=LEVEL)
        found.append(((low <= y[test]) & (y[test] <= high)).mean())
    return np.array(found)


def table_sets(folder: Path, quick: bool) -> Iterator[tuple[str, Floats, Floats, str]]:
    """Name, one-hot vectors, latencies and predictor for every device of HELP's tables."""
    for space in ("nb201", "fbnet"):
        if not (folder / f"help_{space}.npz").exists():
            continue
        table = load_space(folder, space)
        for device in sorted(table.latency)[: 2 if quick else None]:
            rows = table.usable(device)
            yield f"{space} {device}", table.X[rows], table.latency[device][rows], "ridge-one-hot"


def store_sets(path: Path) -> Iterator[tuple[str, Floats, Floats, str]]:
    """The same for every measurement set of a store, and every predictor of the table."""
    with Store(path) as store:
        for found in store.sets():
            dataset = store.dataset(set_id=found.id)
            for name in ("ridge-counts", "ridge-layers", "mlp", "lightgbm"):
                X = dataset.encode(make_predictor(name).encoding).astype(float)
                yield f"{dataset.backend}, {name}", X, dataset.values, name


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    seeds = 2 if quick else 10
    sets = list(table_sets(arguments.tables, quick))
    if arguments.store is not None:
        sets += store_sets(arguments.store)
    figures = []
    for label, X, y, name in sets:
        if len(y) < FITTED + CALIBRATED + 100:
            continue
        share = float(coverage(name, X, y, seeds).mean())
        met = LOW <= share <= HIGH
        figures.append(Figure(label, 100 * share, "% inside", seeds, "88 to 92", met))
        print(f"{label}: {100 * share:.1f} %", flush=True)
    return Outcome(figures)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, help="also every measurement set of this store")
    parser.add_argument("--tables", type=Path, default=TABLES, help="folder of HELP's tables")


if __name__ == "__main__":
    main("Coverage of 90 % intervals", benchmark, options)
