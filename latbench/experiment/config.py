"""What an experiment file says, checked before anything is done.

Unknown keys and values of the wrong type are refused by name. See ``docs/experiment.md`` for every
key with its default; ``latbench run --example`` prints a file to start from.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from latbench.backends import make_backend
from latbench.backends.base import Backend
from latbench.errors import UsageError
from latbench.experiment.checking import checked
from latbench.experiment.goals import Goal, check_targets, make_goals, parse_front
from latbench.metric import ENERGY, parse_metric
from latbench.protocol import Protocol
from latbench.search.config import SearchConfig, TrainConfig
from latbench.search.presets import published
from latbench.spaces import AnySpace, make_space

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


# Not imported from latbench.search.penalty, which needs torch.
Combine = Literal["worst", "mean"]


@dataclass(frozen=True)
class MeasureStage:
    """How many architectures are sampled from which seed; share timed twice; seconds that each
    network runs for its energy (0: not measured)."""

    n: int = 160
    seed: int = 0
    retest: float = 0.15
    energy: float = 0.0


@dataclass(frozen=True)
class PredictStage:
    """Predictors that are compared on every backend, and the one whose gradient the penalty is.

    The most accurate of them says what a derived network costs, see ``latbench.search.judge``.
    """

    compare: tuple[str, ...] = ("mlp", "lightgbm", "ridge-layers", "ridge-counts", "ridge-cost")
    penalty: str = "mlp"
    folds: int = 5


@dataclass(frozen=True)
class SearchStage:
    """Searches on backends' predictors, one for each penalty weight and each target; a weight of 0
    is the baseline. ``metric`` is what the penalty is on, see ``latbench.metric``; ``data`` is an
    image source of ``latbench.search.data``. ``preset`` names published settings
    (``latbench.search.presets``), over which ``settings`` are laid.

    Each of ``backends`` (or the one ``backend``) has a front of its own; ``a+b`` is paid for at
    once, by ``combine``. ``targets`` are texts such as ``5ms``, or ``80%`` of the sample's median.
    The penalty is on the prediction plus ``deviations`` times its standard deviation. What is found
    is trained from ``seeds`` seeds.
    """

    backend: str = ""
    backends: tuple[str, ...] = ()
    metric: str = "latency"
    preset: str = ""
    penalty_weights: tuple[float, ...] = (0.0, 0.5)
    targets: tuple[str, ...] = ()
    combine: Combine = "worst"
    deviations: float = 0.0
    seeds: int = 1
    data: str = "digits"
    limit: int = 0
    settings: SearchConfig = field(default_factory=SearchConfig)

    @property
    def fronts(self) -> list[tuple[str, ...]]:
        """The backends that each front pays for."""
        return [parse_front(text) for text in self.backends or (self.backend,)]

    @property
    def priced(self) -> list[str]:
        """All backends that any search pays for, each once."""
        return list(dict.fromkeys(name for front in self.fronts for name in front))

    @property
    def goals(self) -> list[Goal]:
        """All searches."""
        return make_goals(
            self.fronts, self.penalty_weights, dict.fromkeys(self.priced, self.targets)
        )


@dataclass(frozen=True)
class ExperimentConfig:
    """A whole experiment file. ``space`` and ``backends`` are tables with a ``name`` and the
    settings of that space or backend."""

    title: str
    space: dict[str, Any]
    backends: tuple[dict[str, Any], ...]
    measure: MeasureStage = field(default_factory=MeasureStage)
    protocol: Protocol = field(default_factory=Protocol)
    predict: PredictStage = field(default_factory=PredictStage)
    search: SearchStage | None = None
    train: TrainConfig = field(default_factory=TrainConfig)

    def make_space(self) -> AnySpace:
        """The search space; raises UsageError for a wrong setting."""
        return make_space(*_named(self.space, "space"))

    def make_backends(self) -> dict[str, Backend]:
        """The backends by name; raises UsageError or BackendUnavailable for a wrong one."""
        made: dict[str, Backend] = {}
        for table in self.backends:
            name, options = _named(table, "backends")
            if name in made:
                raise UsageError(f"backend {name!r} is listed twice; list each backend once")
            made[name] = make_backend(name, **options)
        if not made:
            raise UsageError("an experiment needs at least one [[backends]] table")
        return made


def _named(table: dict[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    name = table.get("name")
    if not isinstance(name, str):
        raise UsageError(f"[{where}] needs a 'name', a text; got {name!r}")
    return name, {k: v for k, v in table.items() if k != "name"}


def parse_experiment(text: str, path: Path) -> ExperimentConfig:
    """The experiment that a TOML text describes; ``path`` is named in messages.

    Raises UsageError for the first thing that is wrong.
    """
    try:
        table = tomllib.loads(text)
        document = json.loads(json.dumps(table))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    except TypeError as error:
        raise UsageError(f"{path} holds a date or time; no setting takes one") from error
    config = checked(ExperimentConfig, _with_preset(document), str(path))
    _check_names(config)
    return config


def _with_preset(document: dict[str, Any]) -> dict[str, Any]:
    """``[search.settings]`` laid over the published ones that ``[search] preset`` names.

    Whatever is of a wrong type is left to be refused with the rest.
    """
    space, search = (document.get(key) for key in ("space", "search"))
    if not (isinstance(space, dict) and isinstance(search, dict) and search.get("preset")):
        return document
    given = search.get("settings", {})
    if not isinstance(given, dict) or not isinstance(search["preset"], str):
        return document
    found = published(str(given.get("method", "darts")), search["preset"], str(space.get("name")))
    return document | {"search": search | {"settings": found | given}}


def _check_names(config: ExperimentConfig) -> None:
    """Everything that names something else must name something that is there."""
    from latbench.predictors import require_predictor

    backends = config.make_backends()
    config.make_space()
    for name in (*config.predict.compare, config.predict.penalty):
        require_predictor(name)
    if config.search:
        _check_search(config.search, config, list(backends))


def _check_search(plan: SearchStage, config: ExperimentConfig, backends: list[str]) -> None:
    if plan.backend and plan.backends:
        raise UsageError("[search] has both backend and backends; name the backends in one of them")
    _check_fronts(plan, backends)
    metric = parse_metric(plan.metric)
    if metric == ENERGY and not config.measure.energy > 0:
        raise UsageError(
            "search.metric = 'energy' needs energies; set [measure] energy to the seconds that "
            "each network runs for it, e.g. 2"
        )
    check_targets(metric, plan.targets)
    if plan.settings.target is not None:
        raise UsageError("[search.settings] takes no target; write it in [search] targets")
    if min(plan.penalty_weights, default=0.0) < 0:
        raise UsageError(f"search.penalty_weights must be 0 or more, got {plan.penalty_weights}")
    if not plan.goals:
        raise UsageError("[search] has neither penalty_weights nor targets; give at least one")
    if plan.seeds < 1:
        raise UsageError(f"search.seeds must be at least 1, got {plan.seeds}")
    _check_deviations(plan.deviations, config.predict.penalty)


def _check_fronts(plan: SearchStage, backends: list[str]) -> None:
    where = "search.backends" if plan.backends else "search.backend"
    for front in plan.fronts:
        for name in front:
            if name not in backends:
                raise UsageError(
                    f"{where} = {name!r} is not one of the experiment's backends "
                    f"({', '.join(backends)})"
                )
        if len(set(front)) < len(front) or plan.fronts.count(front) > 1:
            raise UsageError(f"{where} names the same twice: {', '.join(plan.backends)}")


def _check_deviations(deviations: float, predictor: str) -> None:
    from latbench.predictors import DEVIATING

    if not 0 <= deviations <= 100:
        raise UsageError(f"search.deviations must be from 0 to 100, got {deviations}")
    if deviations and predictor not in DEVIATING:
        raise UsageError(
            f"search.deviations needs a predictor that gives them; set [predict] penalty to one of "
            f"{', '.join(DEVIATING)}, it is {predictor!r}"
        )


def load_experiment(path: Path) -> ExperimentConfig:
    """The experiment in a TOML file. Raises UsageError when it cannot be read or is wrong."""
    try:
        return parse_experiment(path.read_text(encoding="utf-8"), path)
    except OSError as error:
        raise UsageError(f"cannot read the experiment {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a text file in UTF-8: {error.reason}") from error
