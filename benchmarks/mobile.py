"""Spaces of mobile blocks: how few measurements predict them, and searches that keep a limit.

    python benchmarks/mobile.py [--folder FOLDER] [--part accuracy|search|export] [--quick]
        [--json FILE]

- *accuracy*: ``proxyless`` at 128 pixels and ``ofa`` with its resolutions, measured on ONNX Runtime
  and LiteRT, one thread; every predictor that needs no long training fitted on 50 and on 300 of
  them, judged on the rest, 10 splits.
- *search*: GDAS on a reduced ``proxyless`` on CIFAR-10, to 60, 70 and 85 % of the sample's median
  latency from three seeds; what was found is measured. The target of the search is the limit less
  twice the judge's stated error, so that chance does not decide about every second one.
- *export*: the time to build MobileNetV3-Large and its ONNX model, weights invented before.

``--folder`` keeps the stores, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from harness import Figure, Outcome, figure, main
from published import data_folder
from scipy.stats import spearmanr

from latbench.backends import make_backend
from latbench.campaign import CampaignOptions, run_campaign
from latbench.export.onnx import to_onnx
from latbench.networks.weights import make_weights
from latbench.predictors import make_predictor
from latbench.predictors.evaluation.compare import cross_validate
from latbench.predictors.evaluation.learning_curve import held_out, rows_to_fit
from latbench.predictors.model import LatencyModel
from latbench.progress import Bars, of_campaign
from latbench.search import LatencyPenalty, SearchConfig, search
from latbench.search.images.images import load_images
from latbench.spaces import AnySpace, make_space
from latbench.store import Store
from latbench.store.dataset import LatencyDataset
from latbench.timing.noise import reachable_error
from latbench.timing.protocol import Protocol
from latbench.zoo.published_networks import published_network

PARTS = ("accuracy", "search", "export")
BACKENDS = ("onnxruntime", "litert")
SPACES = {"proxyless at 128": ("proxyless", {"resolution": 128}), "ofa": ("ofa", {})}
N, QUICK_N = 450, 60
PREDICTORS = ("ridge-layers", "roofline", "lookup", "ridge-one-hot", "ridge-counts", "lightgbm")
CHOSEN = "ridge-layers"
SEEDS = 10
FEW, MANY = 50, 300
AT_FEW, FLOORS, AT_LEAST = 3.0, 1.25, 1.5  # %, times the floor inside, or this many %
# The search's space: of a width and resolution that nine searches on a CPU can train.
SMALL = {"width": 0.35, "resolution": 32, "classes": 10}
SHARES = (0.6, 0.7, 0.85)
SEARCHED, SEARCH_SEEDS = 300, 3
SETTINGS = SearchConfig(
    method="gdas(temperature=5, final_temperature=0.5)", epochs=4, batch=64, warmup_epochs=1,
    alpha_learning_rate=0.05,
)  # fmt: skip
IMAGES = 4000
EXPORT = 15.0  # ms


def measured(
    folder: Path, space: AnySpace, backend: str, n: int, name: str, quick: bool
) -> LatencyDataset:
    """A campaign, or what is there of it."""
    protocol = Protocol(min_visits=4, max_visits=4) if quick else Protocol()
    with Store(folder / f"{name}-{backend}.sqlite", space) as store, Bars().bar(name) as step:
        outcome = run_campaign(
            store, make_backend(backend, threads=1), n=n, protocol=protocol,
            options=CampaignOptions(retest=0.2), report=of_campaign(step),
        )  # fmt: skip
        return store.dataset(set_id=outcome.set_id)


def errors(dataset: LatencyDataset, predictor: str, n: int) -> tuple[list[float], list[float]]:
    """MAPE (%) and Spearman's correlation on rows that were held out, one of each a split."""
    made = make_predictor(predictor)
    X = dataset.encode(made.encoding)
    found = [held_out(made, X, dataset.values, dataset.networks, n, seed) for seed in range(SEEDS)]
    mape = [100 * float(np.mean(np.abs(p / y - 1))) for y, p in found]
    return mape, [float(spearmanr(y, p).statistic) for y, p in found]


def accuracy(folder: Path, quick: bool) -> Iterator[Figure]:
    """Every space on every backend."""
    for label, (name, settings) in SPACES.items():
        space = make_space(name, settings)
        for backend in BACKENDS[: 1 if quick else 2]:
            n = QUICK_N if quick else N
            dataset = measured(folder, space, backend, n, label.replace(" ", "-"), quick)
            floor = 100 * (dataset.noise_floor or 0)
            reach = 100 * (reachable_error(dataset.noise_floor) or 0)
            where = f"{label} on {backend}"
            yield figure(f"{where}: noise floor inside", floor, "%", len(dataset))
            yield figure(f"{where}: a perfect predictor", reach, "% MAPE", len(dataset))
            sizes = (20,) if quick else (FEW, min(MANY, rows_to_fit(len(dataset))))
            for predictor in PREDICTORS[: 1 if quick else None]:
                for rows in sizes:
                    mape, order = errors(dataset, predictor, rows)
                    most = {FEW: AT_FEW}.get(rows, max(FLOORS * floor, AT_LEAST))
                    what = f"{where}: {predictor}, {rows} rows"
                    yield figure(
                        f"{what} (± {np.std(mape):.2f})", float(np.mean(mape)), "% MAPE", SEEDS,
                        at_most=most if predictor == CHOSEN else None,
                    )  # fmt: skip
                    yield figure(what, float(np.mean(order)), "Spearman", SEEDS)


@dataclass(frozen=True)
class Held:
    """A search's limit in seconds, what it found, and how often that is as long, measured."""

    share: float
    limit: float
    architecture: str
    ratio: float


def searches(folder: Path, quick: bool) -> Iterator[Figure]:
    """Nine searches, and what they found on the device."""
    space = make_space("proxyless", SMALL)
    backend = make_backend("onnxruntime", threads=1)
    n = QUICK_N if quick else SEARCHED
    dataset = measured(folder, space, "onnxruntime", n, "searched", quick)
    guide, judge = (_fitted(dataset, name) for name in ("ridge-one-hot", "ridge-layers"))
    assert judge.card.metrics is not None
    stated = judge.card.metrics["mape"][0]
    yield figure("search: stated error of the judge", 100 * stated, "% MAPE", len(dataset))
    data = load_images(data_folder() / "cifar10_10k_2k.npz", limit=512 if quick else IMAGES)
    middle, asked = float(np.median(dataset.values)), []
    for seed in range(1 if quick else SEARCH_SEEDS):
        for share in SHARES[:1] if quick else SHARES:
            limit = share * middle
            config = _settings(limit * (1 - 2 * stated), seed, quick)
            penalty = LatencyPenalty.of(guide, config, judge=judge)
            at = folder / f"search-{share:g}-{seed}"
            start = time.monotonic()
            found = search(space, data, config, penalty, directory=at).architecture
            print(f"{share:.0%} seed {seed}: {time.monotonic() - start:.0f} s", flush=True)
            asked.append((share, limit, str(found)))
    yield from _verdicts(folder, space, backend, asked, quick)


def _fitted(dataset: LatencyDataset, name: str) -> LatencyModel:
    (found,) = cross_validate(dataset, [make_predictor(name)], 5, 0, bar=False)
    return LatencyModel.fit(
        dataset, make_predictor(name), metrics=found.metrics, out_of_fold=found.predicted
    )


def _settings(target: float, seed: int, quick: bool) -> SearchConfig:
    epochs = {"epochs": 2} if quick else {}
    return replace(SETTINGS, target=target, seed=seed, **epochs)


def _verdicts(
    folder: Path, space: AnySpace, backend: object, asked: list[tuple[float, float, str]],
    quick: bool,
) -> Iterator[Figure]:  # fmt: skip
    """Measures what was found in the sample's own set, whose median the limits are shares of."""
    protocol = Protocol(min_visits=4, max_visits=4) if quick else Protocol()
    with Store(folder / "searched-onnxruntime.sqlite", space) as store:
        outcome = run_campaign(
            store, backend, architectures=[space.parse(text) for _, _, text in asked],  # type: ignore[arg-type]
            protocol=protocol, options=CampaignOptions(retest=1.0),
        )  # fmt: skip
        held = [
            Held(share, limit, text, float(store.value(outcome.set_id, text) or np.nan) / limit)
            for share, limit, text in asked
        ]
    for share in dict.fromkeys(h.share for h in held):
        of = [h.ratio for h in held if h.share == share]
        yield figure(f"search to {share:.0%}: measured / limit, largest", max(of), "x", len(of))
        yield figure(f"search to {share:.0%}: measured / limit, mean", float(np.mean(of)), "x",
                     len(of))  # fmt: skip
    kept = sum(h.ratio <= 1 for h in held)
    yield figure("searches that kept their limit", kept, "", len(held), at_least=len(held))


def export(quick: bool) -> Iterator[Figure]:
    """Building MobileNetV3-Large, and its ONNX model."""
    weights = make_weights(published_network("mobilenet_v3_large"))
    times = []
    for _ in range(5 if quick else 50):
        start = time.perf_counter()
        to_onnx(published_network("mobilenet_v3_large"), weights)
        times.append(1e3 * (time.perf_counter() - start))
    yield figure("building and exporting mobilenet_v3_large", median(times), "ms", len(times),
                 at_most=EXPORT)  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """The benchmark's own options."""
    parser.add_argument("--folder", type=Path, help="keep what was measured, and go on from it")
    parser.add_argument("--part", choices=PARTS, action="append", help="this part; repeatable")


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    """All parts, or those that were named."""
    parts = arguments.part or PARTS
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if "export" in parts:
            found += export(quick)
        if "accuracy" in parts:
            found += accuracy(folder, quick)
        if "search" in parts:
            found += searches(folder, quick)
    floors = [f.value / 100 for f in found if f.name.endswith("noise floor inside")]
    return Outcome(found, max(floors) if floors else None)


if __name__ == "__main__":
    main("Spaces of mobile blocks", benchmark, add_options)
