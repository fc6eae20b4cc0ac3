"""What an experiment file says, checked before anything is done.

Unknown keys and values of the wrong type are refused by name. See ``docs/experiment.md`` for every
key with its default; ``latbench run --example`` prints a file to start from.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from latbench.backends import availability_of, make_backend
from latbench.backends.base import Backend
from latbench.errors import LatbenchError, UsageError
from latbench.experiment.checking import checked, told
from latbench.experiment.goals import Goal, make_goals, parse_front
from latbench.experiment.plans import check_search
from latbench.protocol import Protocol
from latbench.search.config import SearchConfig, TrainConfig
from latbench.search.presets import laid_over
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
            try:
                made[name] = make_backend(name, **options)
            except UsageError as error:
                raise UsageError(f"{error}{_not_ready(name)}") from error
        if not made:
            raise UsageError("an experiment needs at least one [[backends]] table")
        return made


def _not_ready(name: str) -> str:
    """What else there is to mend of a backend with a wrong option; empty where it could run."""
    with suppress(LatbenchError):
        found = availability_of(make_backend(name))
        if not found.ready:
            remedy = f" ({found.remedy})" if found.remedy else ""
            return f"; besides, it is not ready here: {found.reason}{remedy}"
    return ""


def _named(table: dict[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    name = table.get("name")
    if not isinstance(name, str):
        raise UsageError(f"[{where}] needs a 'name', a text; got {name!r}")
    return name, {k: v for k, v in table.items() if k != "name"}


def parse_experiment(text: str, path: Path) -> ExperimentConfig:
    """The experiment that a TOML text describes; ``path`` is named in messages.

    Raises UsageError with all unknown keys and wrong types, or, where there are none, with all
    names that are wrong; BackendUnavailable for an unknown backend. To check the names it imports
    the modules of ``module:Class`` in it: for a file that somebody asks to run.
    """
    config = _typed(text, path)
    if mistakes := list(_wrong_names(config)):
        raise told(str(path), mistakes)
    return config


def _typed(text: str, path: Path) -> ExperimentConfig:
    """The experiment of a text, its types checked and none of its names."""
    try:
        table = tomllib.loads(text)
        document = json.loads(json.dumps(table))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    except TypeError as error:
        raise UsageError(f"{path} holds a date or time; no setting takes one") from error
    return checked(ExperimentConfig, _with_preset(document), str(path))


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
    settings = laid_over(search["preset"], given, str(space.get("name")))
    return document | {"search": search | {"settings": settings}}


def _wrong_names(config: ExperimentConfig) -> Iterator[str]:
    """Everything that names something else must name something that is there."""
    from latbench.predictors import require_predictor

    checks: list[Callable[[], object]] = [config.make_space, config.make_backends]
    names = dict.fromkeys((*config.predict.compare, config.predict.penalty))
    checks += [partial(require_predictor, name) for name in names]
    if config.search:
        checks.append(partial(check_search, config.search, config))
    for check in checks:
        try:
            check()
        except UsageError as error:
            yield str(error)


def load_experiment(path: Path) -> ExperimentConfig:
    """The experiment in a TOML file. Raises UsageError when it cannot be read or is wrong; see
    ``parse_experiment``."""
    return parse_experiment(_text(path), path)


def read_experiment(path: Path) -> ExperimentConfig:
    """The experiment in a TOML file, for who only shows it: no space, backend or predictor that it
    names is looked up, so none has to be here, and no code of it runs.

    Raises UsageError when the file cannot be read, or when a type or the search stage is wrong.
    """
    config = _typed(_text(path), path)
    if config.search:
        check_search(config.search, config)
    return config


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the experiment {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a text file in UTF-8: {error.reason}") from error
