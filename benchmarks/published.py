"""Transfer to new devices against published work, on the same measurements and protocols.

- NASFLAT's tasks that HELP's tables hold: 20 random samples of each target device, sources of 512
  (NAS-Bench-201) or 800 (FBNet) random rows each, Spearman over all architectures, 10 seeds.
- HELP's window: 10 samples out of the first 900 (FBNet: 4,000) architectures, judged on the next
  1,000, both trimmed to the 10th to 90th percentile of the device's latency; then with its 10
  reference architectures besides, which HELP measures too.
- Qualcomm AI Hub: one runtime left out, 20 models timed on it, all others looked up elsewhere.

Beside every figure stand the published one, ridge on operation counts of the samples alone, and the
nearest source. Additive devices (sums over operations) are given apart. Entries near zero (below
1 % of the device's median) are never samples nor in MAPE, but stay in Spearman, as published.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from harness import Figure, Outcome, figure, main
from published_tables import (
    ADDITIVE,
    HELP_POOL,
    HELP_PUBLISHED,
    HELP_SOURCES,
    NASFLAT,
    Floats,
    Space,
    Task,
    load_runtimes,
    load_space,
)
from scipy.stats import kendalltau, spearmanr

from latbench.predictors.transfer.choice import choose
from latbench.predictors.transfer.lookup import LOOKUPS, complete, transfer_lookup
from latbench.predictors.transfer.methods import METHODS
from latbench.predictors.transfer.prior import Prior, Source, learn

SAMPLES, HELP_SAMPLES = 20, 10
SOURCE_ROWS = {"nb201": 512, "fbnet": 800}
CHOSEN = "chosen"
# (device, method, metric) to a value a seed
Scores = dict[tuple[str, str, str], list[float]]


def data_folder() -> Path:
    """``shared/data`` beside or above the repository."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "shared/data/help_nb201.npz").is_file():
            return parent / "shared/data"
    raise SystemExit("needs shared/data (HELP's tables and Qualcomm AI Hub's) beside the checkout")


def judge(scores: Scores, device: str, method: str, true: Floats, predicted: Floats,
          usable: np.ndarray) -> None:  # type: ignore[type-arg]  # fmt: skip
    """Adds a seed's figures: Spearman on all rows, the others on usable ones."""
    error = np.abs(predicted / true - 1)[usable]
    values = {
        "Spearman": spearmanr(true, predicted).statistic,
        "Kendall": kendalltau(true, predicted).statistic,
        "MAPE": error.mean(),
        "within 10 %": (error <= 0.1).mean(),
    }
    for metric, value in values.items():
        scores[device, method, metric].append(float(value))


def run_target(
    scores: Scores,
    space: Space,
    prior: Prior,
    device: str,
    samples: Floats,
    test: Floats,
    seed: int,
) -> None:
    """Every method on one device's ``samples``, judged on ``test`` (row numbers)."""
    y, usable = space.latency[device], space.usable(device)[test]
    X = space.X[samples]
    choice = choose(prior, X, y[samples], seed=seed)
    fitted = {name: method(prior, X, y[samples]) for name, method in METHODS.items()}
    for name, predictor in {**fitted, CHOSEN: choice.predictor}.items():
        judge(scores, device, name, y[test], predictor.predict(space.X[test]), usable)


def nasflat(space: Space, task: Task, targets: tuple[str, ...], seeds: int) -> Scores:
    """NASFLAT's protocol: random rows of every device, judged on the whole table."""
    scores: Scores = defaultdict(list)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        sources = []
        for name in task.sources:
            rows = rng.choice(len(space.X), SOURCE_ROWS[task.space], replace=False)
            rows = rows[space.usable(name)[rows]]
            sources.append(Source(name, space.X[rows], space.latency[name][rows]))
        prior = learn(sources, space.counts, seed=seed)
        for device in targets:
            samples = rng.choice(np.flatnonzero(space.usable(device)), SAMPLES, replace=False)
            run_target(scores, space, prior, device, samples, np.arange(len(space.X)), seed)
    return scores


def trimmed(y: Floats, rows: Floats) -> Floats:
    """``rows`` in order of their latency without the lowest and highest tenth."""
    ordered = rows[np.argsort(y[rows], kind="stable")]
    return np.asarray(ordered[int(0.1 * len(rows)) : int(0.9 * len(rows))])


def help_window(space: Space, name: str, devices: list[str], seeds: int) -> tuple[Scores, Scores]:
    """HELP's protocol with 10 samples, and with its 10 reference architectures besides."""
    plain: Scores = defaultdict(list)
    with_references: Scores = defaultdict(list)
    pool = np.arange(HELP_POOL[name])
    later = np.arange(HELP_POOL[name], HELP_POOL[name] + 1000)
    sources = []
    for source in HELP_SOURCES[name]:
        y = space.latency[source]
        rows = trimmed(y, pool)
        sources.append(Source(source, space.X[rows], y[rows]))
    prior = learn(sources, space.counts)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        for device in devices:
            y = space.latency[device]
            samples = rng.choice(trimmed(y, pool), HELP_SAMPLES, replace=False)
            test = trimmed(y, later)
            run_target(plain, space, prior, device, samples, test, seed)
            references = space.references[space.usable(device)[space.references]]
            samples = np.union1d(samples, references)
            run_target(with_references, space, prior, device, samples, test, seed)
    return plain, with_references


def mean(scores: Scores, devices: tuple[str, ...], method: str, metric: str) -> float:
    """The mean over devices and seeds."""
    return float(np.mean([scores[d, method, metric] for d in devices]))


def task_figures(label: str, scores: Scores, devices: tuple[str, ...], seeds: int,
                 task: Task, whole: bool) -> list[Figure]:  # fmt: skip
    """Every method beside the published figures, then measured and additive devices apart."""
    runs = seeds * len(devices)
    # A part of a task's devices has no published figure.
    bar = task.bar if whole else None
    found = [
        figure(f"{label} {CHOSEN}", mean(scores, devices, CHOSEN, "Spearman"), "Spearman", runs,
               at_least=bar)
    ]  # fmt: skip
    found += [
        figure(f"{label} {m}", mean(scores, devices, m, "Spearman"), "Spearman", runs)
        for m in METHODS
    ]
    found += [
        figure(f"{label} {m}, published", v, "Spearman", 0) for m, v in task.published.items()
    ]
    additive = tuple(d for d in devices if d in ADDITIVE[task.space])
    measured = tuple(d for d in devices if d not in ADDITIVE[task.space])
    for kind, group in (("measured", measured), ("additive", additive)):
        if not group:
            continue
        for m in (CHOSEN, "counts", "nearest"):
            found += [
                figure(f"{label} {m}, {len(group)} {kind}", mean(scores, group, m, metric), metric,
                       seeds * len(group))
                for metric in ("Spearman", "Kendall", "MAPE", "within 10 %")
            ]  # fmt: skip
    return found


def device_figures(label: str, scores: Scores, devices: list[str], seeds: int,
                   published: dict[str, float]) -> list[Figure]:  # fmt: skip
    """One row a device and method, for HELP's own table, and the mean of its devices."""
    found = []
    for d in devices:
        for m in (CHOSEN, "ridge", "counts", "nearest"):
            target = published[d] if m == CHOSEN else None
            value = mean(scores, (d,), m, "Spearman")
            found.append(figure(f"{label} {d} {m}", value, "Spearman", seeds, at_least=target))
    if len(devices) == len(published):
        target = float(np.mean(list(published.values())))
        value = mean(scores, tuple(devices), CHOSEN, "Spearman")
        runs = seeds * len(devices)
        found.append(figure(f"{label} mean {CHOSEN}", value, "Spearman", runs, at_least=target))
    return found


def runtimes(path: Path, seeds: int, only: str | None) -> list[Figure]:
    """Leave one runtime out of Qualcomm AI Hub's table; the mean over its devices."""
    columns, table = load_runtimes(path)
    found = []
    for runtime in [only] if only else sorted({r for _, r in columns}):
        scores, devices = _one_runtime(columns, table, runtime, seeds)
        for m in (CHOSEN, *LOOKUPS) if devices else ():
            found += [
                figure(f"without {runtime}, {m}", mean(scores, devices, m, metric), metric,
                       seeds * len(devices))
                for metric in ("Spearman", "Kendall", "MAPE", "within 10 %")
            ]  # fmt: skip
    return found


def _one_runtime(
    columns: list[tuple[str, str]], table: Floats, runtime: str, seeds: int
) -> tuple[Scores, tuple[str, ...]]:
    scores: Scores = defaultdict(list)
    others = table[:, [r != runtime for _, r in columns]]
    rows = ~np.isnan(others).all(axis=1)
    others, ours = others[rows], table[rows]
    log = complete(others[:, ~np.isnan(others).all(axis=0)])
    devices = []
    for c, (device, name) in enumerate(columns):
        timed = np.flatnonzero(~np.isnan(ours[:, c]))
        if name != runtime or len(timed) < 3 * SAMPLES:
            continue
        devices.append(device)
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(timed)
            samples, test = order[:SAMPLES], order[SAMPLES:]
            y = ours[:, c]
            fitted = {m: method(log, samples, y[samples]) for m, method in LOOKUPS.items()}
            fitted[CHOSEN] = transfer_lookup(log, samples, y[samples], seed=seed)[1]
            for m, predicted in fitted.items():
                judge(scores, device, m, y[test], predicted[test], np.ones(len(test), bool))
    return scores, tuple(devices)


def benchmark(quick: bool) -> Outcome:
    """All three parts; ``quick`` is two tasks, two devices of each and two seeds."""
    folder = data_folder()
    spaces = {name: load_space(folder, name) for name in SOURCE_ROWS}
    seeds = 2 if quick else 10
    found = [
        figure(f"near-zero rows of {d}", float((~s.usable(d)).sum()), "rows", len(s.X))
        for s in spaces.values() for d in s.latency if not s.usable(d).all()
    ]  # fmt: skip
    for label, task in NASFLAT.items():
        if quick and label not in ("ND", "F2"):
            continue
        targets = task.targets[:2] if quick else task.targets
        scores = nasflat(spaces[task.space], task, targets, seeds)
        found += task_figures(label, scores, targets, seeds, task, not quick)
    for name, published in HELP_PUBLISHED.items():
        if quick and name != "nb201":
            continue
        devices = list(published)[: 1 if quick else None]
        both = help_window(spaces[name], name, devices, seeds)
        for scores, samples in zip(both, ("10 samples", "10 + 10 references"), strict=True):
            label = f"HELP {name}, {samples}:"
            found += device_figures(label, scores, devices, seeds, published)
    found += runtimes(folder / "qai_perf_0.65.0.csv", seeds, "qnn_dlc" if quick else None)
    return Outcome(found)


if __name__ == "__main__":
    main("Transfer against published work", benchmark)
