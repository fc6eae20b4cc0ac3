"""An experiment and its folder: where each stage puts what it found.

experiment.toml                  the file that it was started with
measurements.sqlite              the store
sets.json                        backend -> measurement set in the store
predictors/<backend>/            comparison.json and the predictors that are kept
predictors/<backend>/<metric>/   the same, where the search pays for another metric
search/                          a sweep's folder, see latbench.experiment.sweep
prune/                           see latbench.experiment.prune_stage
report.html
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latbench.backends.base import Backend
from latbench.errors import UsageError
from latbench.experiment.settings import ExperimentConfig, PruneStage, SearchStage
from latbench.experiment.toml_file import load_experiment
from latbench.spaces import AnySpace
from latbench.store import Store
from latbench.timing.metric import LATENCY, Metric, parse_metric


@dataclass(frozen=True)
class Experiment:
    """A checked experiment and where its results go."""

    config: ExperimentConfig
    directory: Path
    space: AnySpace
    backends: dict[str, Backend]

    @classmethod
    def open(cls, path: Path, directory: Path) -> Experiment:
        """Loads and checks the file. Raises UsageError or BackendUnavailable."""
        config = load_experiment(path)
        return cls(config, directory, config.make_space(), config.make_backends())

    @property
    def search_plan(self) -> SearchStage:
        """Returns the search stage. Raises UsageError when the experiment has none."""
        if self.config.search is None:
            raise UsageError("the experiment has no [search] table; add one to search")
        return self.config.search

    @property
    def search_metric(self) -> Metric:
        """Returns the metric that the search pays for; latency where there is no search."""
        return parse_metric(self.config.search.metric) if self.config.search else LATENCY

    @property
    def prune_plan(self) -> PruneStage:
        """Returns the prune stage. Raises UsageError when the experiment has none."""
        if self.config.prune is None:
            raise UsageError("the experiment has no [prune] table; add one to prune")
        return self.config.prune

    def predictors(self, backend: str, metric: Metric) -> Path:
        """Returns the folder of a backend's comparison and predictor of a metric."""
        return predictors_folder(self.directory, backend, metric)

    @property
    def search_folder(self) -> Path:
        """Returns the folder of the sweep."""
        return search_folder(self.directory)

    @property
    def prune_folder(self) -> Path:
        """Returns the folder of what was pruned."""
        return prune_folder(self.directory)

    def store(self) -> Store:
        """Opens the experiment's store, made when it is not there."""
        return Store(self.directory / "measurements.sqlite", self.space)


def predictors_folder(directory: Path, backend: str, metric: Metric) -> Path:
    """Returns the folder in which an experiment keeps what it fitted for a metric of a backend."""
    folder = directory / "predictors" / backend
    return folder if metric == LATENCY else folder / metric.name


def search_folder(directory: Path) -> Path:
    """Returns the folder in which an experiment keeps its searches."""
    return directory / "search"


def prune_folder(directory: Path) -> Path:
    """Returns the folder in which an experiment keeps what it pruned."""
    return directory / "prune"
