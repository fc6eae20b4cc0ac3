"""What each search of ``latbench search`` is for, from its options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from latbench.errors import UsageError

if TYPE_CHECKING:
    from latbench.experiment.goals import Goal
    from latbench.predictors.model import LatencyModel


def goals_of(
    models: dict[str, LatencyModel], weight: float | None, sweep: str | None,
    target: Sequence[str], together: str | None,
) -> list[Goal]:  # fmt: skip
    """What the options ask for. Raises UsageError when they contradict each other."""
    from latbench.experiment.goals import check_targets, make_goals

    if together not in (None, "worst", "mean"):
        raise UsageError(f"--together must be 'worst' or 'mean', got {together!r}")
    if together and len(models) < 2:
        raise UsageError("--together needs two or more models; give --model for each backend")
    if together == "mean" and target:
        raise UsageError("--target with several models at once needs --together worst")
    if weight is not None and target:
        raise UsageError(
            "--target takes the place of λ, which the search finds itself then; leave out "
            "--penalty-weight, or --target (--sweep gives weights beside a target, one search each)"
        )
    if weight is not None and sweep:
        raise UsageError("--penalty-weight is for one search; give its value in --sweep")
    weights = _numbers(sweep) if sweep else [] if target else [0.5 if weight is None else weight]
    fronts = [tuple(models)] if together else [(name,) for name in models]
    lists = [_split(text) for text in target] or [[]]
    check_targets(next(iter(models.values())).metric, [text for texts in lists for text in texts])
    if len(lists) not in (1, len(models)):
        raise UsageError(
            f"--target was given {len(lists)} times for {len(models)} models; give it once, or "
            "once for each model"
        )
    lists = lists if len(lists) == len(models) else lists * len(models)
    if together and len({len(texts) for texts in lists}) > 1:
        raise UsageError("with --together, every --target needs equally many values")
    return make_goals(fronts, weights, dict(zip(models, lists, strict=True)))


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _numbers(text: str) -> list[float]:
    """The weights of a sweep."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [-1.0]
    if not all(0 <= number < float("inf") for number in numbers):
        raise UsageError(f"--sweep must be numbers of 0 or more with commas between, got {text!r}")
    return numbers
