"""The parts of ``hurricane.py`` that train: one stage and two, what is found for each runtime and
measured on all, the ranking of the supernet, and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
from harness import Figure, figure
from hurricane_jobs import MOST, RANKED_EPOCHS, REFERENCE, method, result, run_job, write_job
from methods_statistics import compared, told
from scipy import stats
from side_by_side import run_side_by_side

from latbench.api import measure
from latbench.models import Model
from latbench.predictors import make_predictor
from latbench.predictors.model import LatencyModel
from latbench.spaces import AnySpace, parse_space

__all__ = ["Setting", "limit_figures", "ranking_figures", "run_job", "runtime_figures",
           "stage_figures"]  # fmt: skip

SHARE = 0.65  # of a runtime's median latency
SHARES = (0.5, SHARE, 0.8)
LEAST, PUBLISHED = 70.0, -30.4  # % of the test images; % of the images of one stage
ONE, TWO, EQUAL = "one stage", "two stages", "one stage, as many images as two"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """What all parts have: a folder with the files of the pool that is searched and of all
    operators, runtimes, the number of seeds and of ranked networks, and whether it is quick."""

    out: Path
    backends: Sequence[str]
    seeds: int
    ranked: int
    quick: bool

    @property
    def space(self) -> AnySpace:
        """The space that is searched."""
        return parse_space(str(self.pool))

    @property
    def pool(self) -> Path:
        """Its file."""
        return self.out / "pool.toml"

    def run(self, folders: Sequence[Path]) -> None:
        """Runs jobs side by side."""
        run_side_by_side("hurricane.py", "job", folders, self.quick)

    def fitted(self, backend: str) -> tuple[Path, float, float]:
        """The folder of a runtime's model, the median latency (s) of its sample, and its floor."""
        folder = self.out / "models" / backend
        folder.mkdir(parents=True, exist_ok=True)
        n = 24 if self.quick else 120
        with measure(self.space, backend, n=n, store=folder / "sample.sqlite") as store:
            data = store.dataset()
        if not (folder / "model").exists():
            LatencyModel.fit(data, make_predictor("ridge-layers")).save(folder / "model")
        return folder / "model", float(np.median(data.values)), data.noise_floor or 0.0

    def trained(
        self, networks: Mapping[str, str], seeds: Mapping[str, int], **about: int
    ) -> dict[str, float]:
        """The accuracies (%) of networks, by their names, trained from seeds."""
        jobs = {
            name: write_job(self.out / "trained" / name.replace(" ", "-"), "train", self.pool,
                            architecture=text, seed=seeds[name], **about)
            for name, text in networks.items()
        }  # fmt: skip
        self.run(list(jobs.values()))
        return {name: float(result(folder)) for name, folder in jobs.items()}

    def measured(self, networks: Mapping[str, str], backend: str) -> dict[str, float]:
        """The latencies (s) of networks on a runtime, side by side and nothing beside them."""
        space, path = self.space, self.out / f"found-{backend}.sqlite"
        models = [Model(name, space.build(space.parse(text))) for name, text in networks.items()]
        with measure(space, backend, models=models, store=path) as store:
            place = store.find_set().id
            values = {model.name: store.value(place, str(model)) for model in models}
        if failed := [name for name, value in values.items() if value is None]:
            raise SystemExit(f"not measured: {', '.join(failed)}; see {path}")
        return {name: value for name, value in values.items() if value is not None}

    def supernets(self, label: str, name: str, settled: bool, epochs: Sequence[int]) -> list[Path]:
        """The folders of trained supernets, one a seed; ``epochs`` are empty where they settle."""
        model, median, _ = self.fitted(self.backends[0])
        text = method(name, settled, self.quick, 2 if name == "hurricane" else 1)
        folders = [
            write_job(
                self.out / "supernets" / f"{label.replace(' ', '-')}-{seed}", "supernet",
                self.pool, method=text, seed=seed,
                limit=SHARE * median, model=str(model), epochs=epochs[seed] if epochs else None,
            )
            for seed in range(self.seeds)
        ]  # fmt: skip
        self.run(folders)
        return folders

    def one_stage(self) -> list[Path]:
        """The supernets of so many epochs that networks are chosen by."""
        return self.supernets("supernet", "single-path", False, ())


def stage_figures(of: Setting) -> list[Figure]:
    """Two stages against one: images until both have settled, and what is found."""
    most = [MOST] * of.seeds
    folders = {
        ONE: of.supernets(ONE, "single-path", True, most),
        TWO: of.supernets(TWO, "hurricane", True, most),
    }
    epochs = [result(folder)["epochs"] for folder in folders[TWO]]
    folders[EQUAL] = of.supernets(EQUAL, "single-path", False, epochs)
    texts = {
        f"{label} {seed}": result(folder)["architecture"]
        for label, each in folders.items() for seed, folder in enumerate(each)
    }  # fmt: skip
    accuracies = of.trained(texts, {name: int(name.split()[-1]) for name in texts})
    found, accuracy, seen = list[Figure](), dict[str, Floats](), dict[str, Floats]()
    for label, each in folders.items():
        seen[label] = np.array([result(folder)["images"] for folder in each], np.float64)
        accuracy[label] = np.array([accuracies[f"{label} {s}"] for s in range(of.seeds)])
        found += told(f"{label}: images trained on", seen[label] / 1e3, "k")
        found += told(f"{label}: accuracy of what is found", accuracy[label], "%")
        cut = sum(result(folder)["epochs"] == result(folder)["at most"] for folder in each)
        if label != EQUAL:
            found.append(figure(f"{label}: not settled in the most epochs", cut, "runs", of.seeds))
    saved = 100 * float(seen[TWO].mean() / seen[ONE].mean() - 1)
    found.append(figure("two stages over one: images trained on (published: -30.4)", saved, "%",
                        of.seeds, at_most=PUBLISHED))  # fmt: skip
    found += compared({k: accuracy[k] for k in (ONE, TWO)}, ONE, "% points")
    found += compared({k: accuracy[k] for k in (EQUAL, TWO)}, EQUAL, "% points")
    return [*found, reference_figure(of)]


def reference_figure(of: Setting) -> Figure:
    """The accuracy of the reference, which need not be in the pools."""
    every = parse_space(str(of.out / "all.toml"))
    text = ";".join(f"{v.name}={REFERENCE}" for v in every.forest.variables)
    folder = write_job(of.out / "trained" / REFERENCE, "train", of.out / "all.toml",
                       architecture=text, seed=0)  # fmt: skip
    of.run([folder])
    label = f"{REFERENCE} everywhere, no limit: accuracy, the scale that is asked for"
    return figure(label, float(result(folder)), "%", 1, at_least=LEAST)


def runtime_figures(of: Setting) -> tuple[list[Figure], float]:
    """The table found for x measured on, over the seeds, and accuracies beside it."""
    supernets, models = of.one_stage(), {name: of.fitted(name) for name in of.backends}
    texts = _chosen(of, supernets, {f"for {name}": (name, SHARE) for name in of.backends}, models)
    accuracies = of.trained(texts, {name: int(name.split()[-1]) for name in texts})
    latency = {on: of.measured(texts, on) for on in of.backends}
    found, best = [reference_figure(of)], 0
    accuracy = {x: _by_seed(accuracies, f"for {x}", of.seeds) for x in of.backends}
    for x in of.backends:
        found += told(f"found for {x}: accuracy", accuracy[x], "%")
    for on in of.backends:
        own = _by_seed(latency[on], f"for {on}", of.seeds)
        fastest = True
        for x in of.backends:
            times = _by_seed(latency[on], f"for {x}", of.seeds)
            found += [figure(f"found for {x}, measured on {on}", 1e3 * float(times.mean()), "ms",
                             of.seeds)]  # fmt: skip
            ratio, floor = float((own / times).mean()), models[on][2]
            fastest &= x == on or ratio < 1 - floor
        best += fastest
    found.append(figure("columns (measured on) whose own network is the fastest, beyond the floor",
                        best, "columns", len(of.backends), at_least=4))  # fmt: skip
    mean = float(np.mean([a.mean() for a in accuracy.values()]))
    deviation = float(np.sqrt(np.mean([a.var(ddof=min(1, len(a) - 1)) for a in accuracy.values()])))
    off = max(abs(float(a.mean()) - mean) for a in accuracy.values())
    found += [
        figure("accuracy, the largest distance of a runtime's mean to that of all", off, "% points",
               of.seeds),
        figure("accuracy, standard deviation over the seeds of a runtime", deviation, "% points",
               of.seeds),
    ]  # fmt: skip
    return found, max(floor for _, _, floor in models.values())


def limit_figures(of: Setting) -> list[Figure]:
    """How many networks keep the limit that they were found for, as measured."""
    backend = of.backends[0]
    models = {backend: of.fitted(backend)}
    labels = {f"within {share:g} of {backend}": (backend, share) for share in SHARES}
    texts = _chosen(of, of.one_stage(), labels, models)
    latency, (_, median, floor) = of.measured(texts, backend), models[backend]
    over = np.array(
        [
            latency[f"{label} {seed}"] / (share * median)
            for (label, (_, share)), seed in product(labels.items(), range(of.seeds))
        ]
    )
    kept = int((over <= 1 + floor).sum())
    return [
        figure("limits that are kept as measured, within the floor", kept, f"of {len(over)}",
               len(over), at_least=len(over)),
        figure("measured latency over the limit, the largest", float(over.max()), "x", len(over)),
    ]  # fmt: skip


def ranking_figures(of: Setting) -> list[Figure]:
    """Spearman of the supernet's scores, and of sizes, with accuracies trained from scratch."""
    supernet, space = of.one_stage()[0], of.space
    texts = {f"ranked {k} 0": str(space.sample(1, k)) for k in range(of.ranked)}
    seeds = dict.fromkeys(texts, 0)
    accuracy = np.array(list(of.trained(texts, seeds, epochs=RANKED_EPOCHS).values()))
    folder = write_job(of.out / "scores", "scores", of.pool, supernet=str(supernet),
                       architectures=list(texts.values()))  # fmt: skip
    of.run([folder])
    networks = [space.build(space.parse(text)) for text in texts.values()]
    scores: dict[str, Sequence[float]] = {
        **{f"supernet, batch norms {k}": v for k, v in result(folder).items()},
        "parameters": [float(one.parameters) for one in networks],
        "multiply-accumulates": [float(one.macs) for one in networks],
    }
    return [
        figure(f"ranking by {name}: Spearman", float(stats.spearmanr(values, accuracy).statistic),
               "", len(accuracy))
        for name, values in scores.items()
    ]  # fmt: skip


def _by_seed(values: Mapping[str, float], label: str, seeds: int) -> Floats:
    return np.array([values[f"{label} {seed}"] for seed in range(seeds)])


def _chosen(
    of: Setting, supernets: Sequence[Path], labels: Mapping[str, tuple[str, float]],
    models: Mapping[str, tuple[Path, float, float]],
) -> dict[str, str]:  # fmt: skip
    """What is found by each supernet for runtimes and shares of their medians, by label and
    seed."""
    folders = {
        f"{label} {seed}": write_job(
            of.out / "chosen" / f"{label} {seed}".replace(" ", "-"), "choose", of.pool,
            supernet=str(folder), model=str(models[name][0]), limit=share * models[name][1],
            seed=seed,
        )
        for (label, (name, share)), (seed, folder) in product(labels.items(), enumerate(supernets))
    }  # fmt: skip
    of.run(list(folders.values()))
    return {name: str(result(folder)) for name, folder in folders.items()}
