"""What must be true of an experiment's search stage beyond the types of its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latbench.errors import UsageError
from latbench.experiment.goals import check_targets
from latbench.metric import ENERGY, parse_metric

if TYPE_CHECKING:
    from latbench.experiment.config import ExperimentConfig, SearchStage


def check_search(plan: SearchStage, config: ExperimentConfig) -> None:
    """Raises UsageError for the first name, target or number of a search stage that is wrong."""
    if plan.backend and plan.backends:
        raise UsageError("[search] has both backend and backends; name the backends in one of them")
    _check_fronts(plan, [str(table.get("name")) for table in config.backends])
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
