"""Latency-aware search on CIFAR-10, everything that it finds trained and measured.

    python benchmarks/search.py [--out FOLDER] [--plot FILE] [--quick] [--json FILE]

Runs the experiment of ``search.toml`` from several seeds, each anew, from the sample that the
predictors are fitted on to the training of what was found. So the deviation over the seeds holds
everything that chance decides. For every goal (a weight of the penalty, or a target) on every
backend: measured latency and test accuracy against those of the search for accuracy alone in the
same run, and their means. A goal is as accurate when its mean accuracy is not below that of
accuracy alone by more than that one's deviation over the seeds; the fastest such goal is held
against the 30 %. With ``--out`` a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from harness import Figure, Outcome, figure, main
from published import data_folder

from latbench.experiment.reporting import collect
from latbench.experiment.stages import run_experiment
from latbench.files import read_json
from latbench.predictors.model import LatencyModel
from latbench.progress import Bars
from latbench.results import ReportData, SearchResult

HERE = Path(__file__).parent
IMAGES = "../shared/data/cifar10_10k_2k.npz"
FASTER = 30.0  # % of the latency that has to go
LEVEL, INSIDE = 0.9, 0.9  # of the predictor's intervals, and the share to be found in them
SEEDS = 3
ALONE = "λ = 0"
QUICK = {
    "n = 150": "n = 24",
    "\nepochs = 8": "\nepochs = 1",
    "\nepochs = 2": "\nepochs = 1",
    "limit = 8000": "limit = 256",
    "[measure]": "[protocol]\nmin_visits = 4\nmax_visits = 6\n\n[measure]",
}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """What one search of one run found, as seen from a backend that it paid for (or, for accuracy
    alone, is held against). ``inside``: the predictor's interval holds the measured latency."""

    backend: str
    goal: str
    latency_s: float
    predicted_s: float
    inside: bool
    accuracy: float


def configure(seed: int, quick: bool) -> str:
    """The experiment's text for a seed."""
    text = (HERE / "search.toml").read_text(encoding="utf-8")
    text = text.replace(IMAGES, str(data_folder() / Path(IMAGES).name))
    # Sample, search and training.
    text = text.replace("\nseed = 0", f"\nseed = {seed}")
    for old, new in QUICK.items() if quick else ():
        assert old in text, f"search.toml no longer says {old!r}"
        text = text.replace(old, new)
    return text


def run(folder: Path, seed: int, quick: bool) -> ReportData:
    """The experiment from a seed; goes on where it was stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "search.toml"
    file.write_text(configure(seed, quick), encoding="utf-8")
    run_experiment(file, folder, Bars())
    return collect(folder)


def goal_of(search: SearchResult) -> str:
    """In words that are the same on every backend."""
    if search.asked:
        return f"at most {search.asked} of the median"
    return f"λ = {search.penalty_weight:g}"


def judge(folder: Path, backend: str) -> LatencyModel:
    """The predictor that says what derived networks cost."""
    predictors = folder / "predictors" / backend
    return LatencyModel.load(predictors / read_json(predictors / "comparison.json")["judge"])


def found_in(data: ReportData, folder: Path) -> Iterator[Found]:
    """All that a run found."""
    for search in data.searches:
        model = judge(folder, search.backend)
        architecture = model.space.parse(search.architecture)
        (value,), (low,), (high,) = model.predict([architecture], return_interval=LEVEL)
        if search.measured is None or search.accuracy is None:
            raise SystemExit(f"{folder}: {search.label} is not finished; delete the folder")
        yield Found(
            search.backend, goal_of(search), search.measured, float(value),
            bool(low <= search.measured <= high), search.accuracy,
        )  # fmt: skip


def prediction_figures(backend: str, folders: list[Path], every: list[Found]) -> list[Figure]:
    """Predicted against measured latency of everything that was derived for a backend."""
    cards = [judge(folder, backend).card for folder in folders]
    stated = 100 * float(np.mean([card.metrics["mape"][0] for card in cards if card.metrics]))
    here = [f for f in every if f.backend == backend]
    errors = 100 * np.array([abs(f.predicted_s / f.latency_s - 1) for f in here])
    inside = float(np.mean([f.inside for f in here]))
    n = len(here)
    return [
        figure(f"{backend}: stated error of the judge", stated, "% MAPE", len(folders)),
        figure(f"{backend}: its error on what was derived", float(errors.mean()), "% MAPE", n,
               at_most=stated),
        figure(f"{backend}: derived inside its 90 % intervals", inside, "share", n,
               at_least=INSIDE),
    ]  # fmt: skip


def search_figures(backend: str, seeds: dict[str, list[Found]]) -> list[Figure]:
    """Latency and accuracy of every goal against accuracy alone; its runs in the seeds' order."""
    alone = seeds[ALONE]
    base = 100 * np.array([f.accuracy for f in alone])
    figures, as_accurate = [], [0.0]
    for goal, of in seeds.items():
        n = len(of)
        accuracy = 100 * np.array([f.accuracy for f in of])
        ratios = [f.latency_s / a.latency_s for f, a in zip(of, alone, strict=True)]
        faster = 100 * (1 - np.array(ratios))
        label = f"{backend}, {goal}"
        figures += [
            figure(f"{label}: measured latency", 1e3 * float(np.mean([f.latency_s for f in of])),
                   "ms", n),
            figure(f"{label}: accuracy", float(accuracy.mean()), "%", n),
            figure(f"{label}: accuracy's deviation", _deviation(accuracy), "% points", n),
        ]  # fmt: skip
        if goal == ALONE:
            continue
        figures += [
            figure(f"{label}: less latency than {ALONE}", float(faster.mean()), "%", n),
            figure(f"{label}: its deviation", _deviation(faster), "% points", n),
            figure(f"{label}: accuracy over {ALONE}", float((accuracy - base).mean()), "% points",
                   n),
        ]  # fmt: skip
        if accuracy.mean() >= base.mean() - _deviation(base):
            as_accurate.append(float(faster.mean()))
    figures.append(figure(f"{backend}: less latency at equal accuracy", max(as_accurate), "%",
                          len(alone), at_least=FASTER))  # fmt: skip
    return figures


def _deviation(values: Floats) -> float:
    """Over the seeds; 0 with one, which says nothing about it."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def cross_figures(runs: list[ReportData]) -> list[Figure]:
    """What was found for one backend, measured on another, over what was found for that one."""
    ratios: dict[tuple[str, str], list[float]] = defaultdict(list)
    for data in runs:
        own = {(s.backend, goal_of(s)): s.measured for s in data.searches}
        for search in data.searches:
            for other, measured in search.measured_elsewhere.items():
                reference = own.get((other, goal_of(search)))
                if not search.plain and reference is not None:
                    ratios[search.backend, other].append(measured / reference)
    return [
        figure(f"found for {a}, on {b}, over found for {b}", float(np.mean(values)), "x",
               len(values))
        for (a, b), values in ratios.items()
    ]  # fmt: skip


def plot(path: Path, every: list[Found]) -> None:
    """Accuracy against measured latency: every seed a point, the means joined."""
    from matplotlib.figure import Figure as Canvas

    backends = sorted({f.backend for f in every})
    canvas = Canvas(figsize=(4.6 * len(backends), 3.6), layout="constrained")
    panels = canvas.subplots(1, len(backends), squeeze=False, sharey=True)[0]
    for panel, backend in zip(panels, backends, strict=True):
        means = []
        for i, goal in enumerate(dict.fromkeys(f.goal for f in every)):
            of = [f for f in every if (f.backend, f.goal) == (backend, goal)]
            points = np.array([(1e3 * f.latency_s, 100 * f.accuracy) for f in of])
            panel.plot(*points.T, "o", color=f"C{i}", alpha=0.5, label=goal)
            means.append(tuple(points.mean(axis=0)))
        panel.plot(*np.array(sorted(means)).T, color="grey", zorder=0, label="mean of the seeds")
        panel.set(title=backend, xlabel="measured latency, ms")
    canvas.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    panels[0].set_ylabel("test accuracy, %")
    canvas.savefig(path, dpi=150)


def benchmark(arguments: argparse.Namespace, quick: bool) -> Outcome:
    """All seeds, one after the other; each searches with a process a core."""
    with tempfile.TemporaryDirectory() as scratch:
        out = arguments.out or Path(scratch)
        seeds = 1 if quick else SEEDS
        folders = [out / f"seed-{seed}" for seed in range(seeds)]
        runs = [run(folder, seed, quick) for seed, folder in enumerate(folders)]
        every = [f for data, folder in zip(runs, folders, strict=True)
                 for f in found_in(data, folder)]  # fmt: skip
        backends = dict.fromkeys(f.backend for f in every)
        predictions = {b: prediction_figures(b, folders, every) for b in backends}
    figures = []
    for backend in backends:
        by_goal: dict[str, list[Found]] = defaultdict(list)
        for found in every:
            if found.backend == backend:
                by_goal[found.goal].append(found)
        figures += search_figures(backend, by_goal)
        figures += predictions[backend]
    figures += cross_figures(runs)
    if arguments.plot is not None:
        plot(arguments.plot, every)
    floors = [b.noise_floor for r in runs for b in r.backends if b.noise_floor is not None]
    return Outcome(figures, max(floors, default=None))


def options(parser: argparse.ArgumentParser) -> None:
    """The benchmark's own."""
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep the experiments there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw accuracy against latency")


if __name__ == "__main__":
    main("Latency-aware search on two cores", benchmark, options)
