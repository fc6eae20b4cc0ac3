"""Which model on which encoding, from how many measurements: learning curves, noise floor drawn in.

    python benchmarks/predictors.py [--store FILE [--backend NAME] [--layers FILE]] [--plot FILE]
                                    [--sizes 20,50,2000] [--without MODEL]

Without a store, networks of a small NAS-Bench-201 are timed first, on ONNX Runtime, and their
layers alone for the lookup table (``--layers`` is the store of those). The curves are those of
``latbench.predictors.evaluation.learning_curve``, one split a seed. A figure is the mean over the
seeds with its 95 % bootstrap interval (seeds resampled). Targets are those of the DARTS CIFAR
network, for ``ridge-layers``, chosen beforehand.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from harness import Figure, Outcome, figure, main
from scipy.stats import spearmanr

from latbench.backends import make_backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.campaign.layer_timing import layer_space, layer_table, measure_layers
from latbench.encodings.layers import unpack_layers
from latbench.predictors import PREDICTORS, make_predictor
from latbench.predictors.base import LatencyPredictor
from latbench.predictors.evaluation.learning_curve import held_out, rows_to_fit
from latbench.spaces import darts, nasbench201
from latbench.store import Store
from latbench.store.dataset import LatencyDataset
from latbench.timing.noise import reachable_error
from latbench.timing.protocol import Protocol

Floats = npt.NDArray[np.float64]
SIZES, QUICK_SIZES = (10, 30, 100, 200), (10, 30)
SEEDS, QUICK_SEEDS = 10, 3
SPACE = nasbench201(channels=16, cells=1)
PROTOCOL = Protocol(min_visits=4, max_visits=6)
# Rows -> most MAPE, %; and at 2,000 rows 1.25 times the noise floor.
TARGETS, MANY, FLOORS = {20: 4.0, 50: 2.0}, 2000, 1.25
# Families that read any vector; the rest read one encoding by nature.
VECTORS = ("one_hot", "counts", "cost", "layer counts")
FAMILIES = ("ridge-counts", "mlp", "mlp-ensemble", "lightgbm", "xgboost")
QUICK_FAMILIES = ("ridge-counts", "mlp", "lightgbm")


@dataclass(frozen=True)
class Entry:
    """A model on an encoding."""

    label: str
    encoding: str
    make: Callable[[], LatencyPredictor]


@dataclass(frozen=True)
class Curve:
    """Scores ``(seeds,)`` of one entry at one number of rows."""

    entry: Entry
    n: int
    mape: Floats
    spearman: Floats


def entries(quick: bool, table: tuple[float, ...]) -> list[Entry]:
    """What is compared: every family on every encoding that it can read."""
    families = [f for f in (QUICK_FAMILIES if quick else FAMILIES) if f in PREDICTORS]
    found = [
        Entry(family.removesuffix("-counts"), encoding, partial(make_predictor, family))
        for family in families
        for encoding in VECTORS
    ]
    found.append(Entry("ridge-layers", "layers", partial(make_predictor, "ridge-layers")))
    found.append(Entry("roofline", "layers", partial(make_predictor, "roofline")))
    found.append(Entry("layer costs, fitted", "layers", partial(make_predictor, "lookup")))
    if table:
        made = partial(make_predictor, "lookup", table=table)
        found.append(Entry("lookup table, measured", "layers", made))
    found.append(Entry("gnn", "graph", partial(make_predictor, "gnn")))
    return found


def vectors(dataset: LatencyDataset, encoding: str) -> Floats:
    """The encoding; costs in units of their means, and of ``layers`` only how often they occur."""
    if encoding == "layer counts":
        return unpack_layers(dataset.encode("layers").astype(float)).counts
    X = dataset.encode(encoding).astype(float)
    return X / X.mean(axis=0) if encoding == "cost" else X


def score(
    entry: Entry, X: Floats, y: Floats, networks: npt.NDArray[np.int64], n: int, seeds: int,
    progress: Callable[[str], None],
) -> Curve:  # fmt: skip
    """The entry fitted on n rows and judged on a third of them, once a seed."""
    mape, spearman = [], []
    for seed in range(seeds):
        true, predicted = held_out(entry.make(), X, y, networks, n, seed)
        mape.append(np.abs(predicted / true - 1).mean())
        flat = np.ptp(predicted) == 0
        spearman.append(0.0 if flat else float(spearmanr(predicted, true).statistic))
    progress(
        f"{entry.label:24s}{entry.encoding:14s}{n:5d} rows   MAPE {100 * np.mean(mape):6.2f} %"
    )
    return Curve(entry, n, np.array(mape), np.array(spearman))


def interval(values: Floats) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(2000, len(values)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def figures(curve: Curve, most: float | None) -> Iterator[Figure]:
    """The curve's point as figures, its interval in the name; ``most`` is the MAPE's target (%)."""
    what = f"{curve.entry.label} | {curve.entry.encoding} | {curve.n} rows"
    for name, values, unit, scale, limit in (
        ("MAPE", curve.mape, "%", 100.0, most), ("Spearman", curve.spearman, "", 1.0, None),
    ):  # fmt: skip
        low, high = interval(scale * values)
        yield figure(f"{what} | {name} [{low:.3g}, {high:.3g}]", float(scale * values.mean()), unit,
                     len(values), at_most=limit)  # fmt: skip


def target(curve: Curve, dataset: LatencyDataset) -> float | None:
    """The most MAPE (%) that the chosen model may have there; None for all others."""
    if dataset.space != darts() or curve.entry.label != "ridge-layers":
        return None
    if curve.n == MANY and dataset.noise_floor is not None:
        return 100 * FLOORS * dataset.noise_floor
    return TARGETS.get(curve.n)


def fresh(quick: bool) -> tuple[LatencyDataset, tuple[float, ...]]:
    """A campaign and a table of layers of its own."""
    backend = make_backend("onnxruntime")
    with tempfile.TemporaryDirectory() as folder:
        with Store(Path(folder) / "networks.sqlite", SPACE) as store:
            options = CampaignOptions(retest=0.2)
            n = 45 if quick else 300
            run_campaign(store, backend, n=n, protocol=PROTOCOL, options=options)
            dataset = store.dataset()
        with Store(Path(folder) / "layers.sqlite", layer_space(SPACE)) as layers:
            return dataset, measure_layers(layers, backend, protocol=PROTOCOL)


def stored(arguments: argparse.Namespace) -> tuple[LatencyDataset, tuple[float, ...]]:
    """The set of ``--store`` and the table of ``--layers``."""
    with Store(arguments.store) as store:
        dataset = store.dataset(arguments.backend)
    if arguments.layers is None:
        return dataset, ()
    with Store(arguments.layers) as layers:
        return dataset, layer_table(layers, arguments.backend)


def plot(path: Path, curves: list[Curve], floor: float | None) -> None:
    """MAPE against rows, one panel an encoding, with noise floor and perfect predictor drawn in."""
    from matplotlib.figure import Figure as Canvas

    encodings = list(dict.fromkeys(c.entry.encoding for c in curves))
    canvas = Canvas(figsize=(3.4 * len(encodings), 3.6), layout="constrained")
    panels = canvas.subplots(1, len(encodings), sharey=True, squeeze=False)[0]
    for panel, encoding in zip(panels, encodings, strict=True):
        here = [c for c in curves if c.entry.encoding == encoding]
        for label in dict.fromkeys(c.entry.label for c in here):
            line = [c for c in here if c.entry.label == label]
            mean = 100 * np.array([c.mape.mean() for c in line])
            ends = np.array([interval(100 * c.mape) for c in line]).T
            spread = np.abs(ends - mean)
            panel.errorbar([c.n for c in line], mean, spread, label=label, capsize=2, marker=".")
        if floor is not None:
            panel.axhline(100 * floor, color="black", linestyle=":", label="noise floor")
        if (reachable := reachable_error(floor)) is not None:
            panel.axhline(100 * reachable, color="grey", linestyle=":", label="perfect predictor")
        panel.set(title=encoding, xlabel="measurements", xscale="log", yscale="log")
        panel.legend(fontsize=7)
    panels[0].set_ylabel("MAPE, %")
    canvas.savefig(path)


say = partial(print, flush=True)


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    dataset, table = fresh(quick) if arguments.store is None else stored(arguments)
    left, networks = rows_to_fit(len(dataset)), dataset.networks
    wanted = QUICK_SIZES if quick else arguments.sizes
    sizes = [n for n in wanted if n <= left]
    encoded: dict[str, Any] = {}
    curves = []
    chosen = [e for e in entries(quick, table) if e.label not in arguments.without]
    for entry in chosen:
        if entry.encoding not in encoded:
            encoded[entry.encoding] = vectors(dataset, entry.encoding)
        X, seeds = encoded[entry.encoding], QUICK_SEEDS if quick else SEEDS
        curves += [score(entry, X, dataset.values, networks, n, seeds, say) for n in sizes]
    if arguments.plot is not None:
        plot(arguments.plot, curves, dataset.noise_floor)
    found = [f for curve in curves for f in figures(curve, target(curve, dataset))]
    return Outcome(found, dataset.noise_floor)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, help="measurements to use instead of fresh ones")
    parser.add_argument("--backend", help="which backend of the store, where it has several")
    parser.add_argument("--layers", type=Path, help="store of layers alone, for the lookup table")
    parser.add_argument("--sizes", type=lambda t: tuple(map(int, t.split(","))), default=SIZES,
                        help="numbers of rows to fit on, e.g. 20,50,2000")  # fmt: skip
    parser.add_argument("--without", action="append", default=[], help="leave this model out")
    parser.add_argument("--plot", type=Path, help="draw the learning curves there (matplotlib)")


if __name__ == "__main__":
    main("Models, encodings and numbers of measurements", benchmark, options)
