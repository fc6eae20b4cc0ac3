"""The settings of an experiment as values, and what must be true of them beyond their types."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge

from latbench.backends import availability_of, make_backend
from latbench.backends.base import Backend
from latbench.errors import LatbenchError, UsageError
from latbench.experiment.goals import Goal, check_targets, make_goals, parse_front
from latbench.experiment.pruning.prune_settings import (
    TRAINING,
    Method,
    PruneJob,
    check_given,
    checked_budgets,
    method_on,
)
from latbench.search.config import SearchConfig, TrainConfig
from latbench.spaces import SPACES, AnySpace, make_space
from latbench.timing.metric import ENERGY, measured_metric
from latbench.timing.protocol import Protocol
from latbench.validation import Count, Natural, NotNegative, Share

# Not imported from latbench.search.penalty, which needs torch.
Combine = Literal["worst", "mean"]


@dataclass(frozen=True)
class MeasureStage:
    """The settings of measuring.

    ``n`` architectures are sampled from ``seed``; the share ``retest`` is timed twice; ``energy``
    is the seconds that each network runs for its energy (0: not measured).
    """

    n: int = 160
    seed: int = 0
    retest: float = 0.15
    energy: float = 0.0


@dataclass(frozen=True)
class PredictStage:
    """The predictors that are compared on every backend, and the one whose gradient the penalty is.

    The most accurate of them says what a derived network costs, see ``latbench.search.judge``.
    """

    compare: tuple[str, ...] = ("mlp", "lightgbm", "ridge-layers", "ridge-counts", "ridge-cost")
    penalty: str = "mlp"
    folds: int = 5


@dataclass(frozen=True)
class SearchStage:
    """The searches on backends' predictors, one for each penalty weight and each target; a weight
    of 0 is the baseline. ``metric`` is what the penalty is on, see ``latbench.timing.metric``;
    ``data`` is an image source of ``latbench.search.images.images``. ``preset`` names published
    settings (``latbench.search.presets``), over which ``settings`` are laid.

    Each of ``backends`` (or the one ``backend``) has a front of its own; ``a+b`` is paid for at
    once, by ``combine``. ``targets`` are texts such as ``5ms``, or ``80%`` of the sample's median.
    The penalty is on the prediction plus ``deviations`` times its standard deviation. What is found
    is trained from ``seeds`` seeds.
    """

    backend: str = ""
    backends: tuple[str, ...] = ()
    metric: str = "latency"
    preset: str = ""
    penalty_weights: tuple[NotNegative, ...] = (0.0, 0.5)
    targets: tuple[str, ...] = ()
    combine: Combine = "worst"
    deviations: float = 0.0
    seeds: Count = 1
    data: str = "digits"
    limit: int = 0
    settings: SearchConfig = field(default_factory=SearchConfig)

    @property
    def fronts(self) -> list[tuple[str, ...]]:
        """Returns the backends that each front pays for."""
        return [parse_front(text) for text in self.backends or (self.backend,)]

    @property
    def priced(self) -> list[str]:
        """Returns all backends that any search pays for, each once."""
        return list(dict.fromkeys(name for front in self.fronts for name in front))

    @property
    def goals(self) -> list[Goal]:
        """Returns the goals of all searches."""
        return make_goals(
            self.fronts, self.penalty_weights, dict.fromkeys(self.priced, self.targets)
        )


@dataclass(frozen=True)
class PruneStage:
    """The pruning of trained models to ``budgets`` on one ``backend``: of ``models``, folders of
    saved ones, or else of what the searches found for that backend.

    ``data`` and ``limit`` are those of the searches where they are not given, and digits without
    any. ``epochs`` are those of training what is left, on the device of ``[train]``. The rest is as
    in ``PruneJob``.
    """

    backend: str = ""
    budgets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    method: Method | None = None
    rounds: Count = 3
    epochs: Count = 12
    seeds: Count = 1
    distillation: Share | None = None
    networks: Annotated[int, Ge(10)] | None = None
    predictor: str | None = None
    step: Count | None = None
    data: str = ""
    limit: Natural = 0

    def job(self, model: str, config: ExperimentConfig) -> PruneJob:
        """Returns the pruning of one model in an experiment. Raises UsageError for wrong
        budgets."""
        data, limit = self.data, self.limit
        if not data:
            data = config.search.data if config.search else "digits"
            limit = limit or (config.search.limit if config.search else 0)
        train = config.train
        training = replace(
            TRAINING, epochs=self.epochs, device=train.device, precision=train.precision
        )
        return PruneJob(
            model, self.budgets, data, limit, self.method, self.rounds, self.seeds, self.networks,
            self.predictor, self.step, distillation=self.distillation, protocol=config.protocol,
            training=training,
        )  # fmt: skip


@dataclass(frozen=True)
class ExperimentConfig:
    """A whole experiment file. ``space`` and ``backends`` are tables with a ``name`` and the
    settings of that space or backend. Without a space nothing is sampled: models are pruned
    only."""

    title: str
    backends: tuple[dict[str, Any], ...]
    space: dict[str, Any] = field(default_factory=dict)
    measure: MeasureStage = field(default_factory=MeasureStage)
    protocol: Protocol = field(default_factory=Protocol)
    predict: PredictStage = field(default_factory=PredictStage)
    search: SearchStage | None = None
    prune: PruneStage | None = None
    train: TrainConfig = field(default_factory=TrainConfig)

    def make_space(self) -> AnySpace:
        """Makes the search space, or any where none is needed; raises UsageError for a wrong
        setting, or where there is none."""
        if not self.space:
            if self.search or not (self.prune and self.prune.models):
                raise UsageError(
                    "the table [space] is missing; only an experiment that prunes models ([prune] "
                    "models) and searches for none needs no space"
                )
            return make_space(SPACES[0])
        return make_space(*_named(self.space, "space"))

    def make_backends(self) -> dict[str, Backend]:
        """Makes the backends by name; raises UsageError or BackendUnavailable for a wrong one."""
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
    """Returns what else is wrong with a backend of a wrong option; empty where it could run."""
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


def check_search(plan: SearchStage, config: ExperimentConfig) -> None:
    """Raises UsageError for the first name, target or number of a search stage that is wrong."""
    if plan.backend and plan.backends:
        raise UsageError("[search] has both backend and backends; name the backends in one of them")
    _check_fronts(plan, [str(table.get("name")) for table in config.backends])
    metric = measured_metric(plan.metric)
    if metric == ENERGY and not config.measure.energy > 0:
        raise UsageError(
            "search.metric = 'energy' needs energies; set [measure] energy to the seconds that "
            "each network runs for it, e.g. 2"
        )
    check_targets(metric, plan.targets)
    if plan.settings.target is not None:
        raise UsageError("[search.settings] takes no target; write it in [search] targets")
    if not plan.goals:
        raise UsageError("[search] has neither penalty_weights nor targets; give at least one")
    _check_deviations(plan.deviations, config.predict.penalty)


def check_prune(plan: PruneStage, config: ExperimentConfig) -> None:
    """Raises UsageError for the first name, budget or setting of a prune stage that is wrong."""
    from latbench.predictors import require_predictor

    backends = [str(table.get("name")) for table in config.backends]
    if plan.backend not in backends:
        raise UsageError(
            f"prune.backend = {plan.backend!r} is not one of the experiment's backends "
            f"({', '.join(backends)})"
        )
    if not plan.models and (config.search is None or plan.backend not in config.search.priced):
        raise UsageError(
            f"[prune] has no models, and no search finds any for {plan.backend!r}; give models, "
            "folders of saved ones, or name that backend in [search]"
        )
    if not plan.budgets:
        raise UsageError('[prune] has no budgets; give at least one, as budgets = ["50%"]')
    checked_budgets(plan.budgets)
    method = method_on(plan.method, plan.backend)
    check_given(vars(plan), method, "prune.{}".format)
    if plan.predictor is not None:
        require_predictor(plan.predictor)


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
    from latbench.predictors import predictor_class

    if not 0 <= deviations <= 100:
        raise UsageError(f"search.deviations must be from 0 to 100, got {deviations}")
    if deviations and not predictor_class(predictor).deviating:
        raise UsageError(
            "search.deviations needs a predictor that gives them; set [predict] penalty to "
            f"'mlp-ensemble', it is {predictor!r}"
        )
