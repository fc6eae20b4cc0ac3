"""The sentences of ``latbench search``: predictions and limits beside measurements."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from latbench.report.sections.limit_sentences import UNKNOWN
from latbench.results import STATED_LEVEL, SearchResult, Stated
from latbench.text import listing, percent, plural
from latbench.timing.verdicts import LimitVerdict, Verdict

if TYPE_CHECKING:
    from latbench.search.config import TrainConfig
    from latbench.search.images.images import ImageData

_WORDS: dict[tuple[Verdict, bool], str] = {
    ("kept", True): "kept, as predicted",
    ("kept", False): "kept, against the prediction",
    ("missed", True): "missed, against the prediction",
    ("missed", False): "missed, as predicted",
}
_KEPT: dict[Verdict, str] = {"kept": "yes", "missed": "no", "too close": "too close"}


def kept(result: SearchResult) -> str:
    """Returns the measurement's verdict on the limits in a word or two.

    It is the prediction's where there is no measurement, and empty where neither has one.
    """
    if (verdict := result.verdict) is not None:
        return _KEPT[verdict]
    return "" if result.met is None else f"{'yes' if result.met else 'no'}, predicted"


def verdicts(result: SearchResult) -> Iterator[str]:
    """Yields a sentence for each backend that the search paid for and that was measured."""
    found = result.verdicts
    for backend in result.together or (result.backend,):
        predicted, measured = result.predicted_on(backend), result.cost_on(backend)
        if predicted is None or measured is None:
            continue
        metric = result.metric
        said = (
            f"{_goal_on(result, backend)} on {backend}: predicted {metric.show(predicted, 3)}, "
            f"measured {metric.show(measured, 3)}"
        )
        if one := found.get(backend):
            said += f", {_share(one.excess, 'above', 'below')} the limit: "
            said += _verdict(one, predicted <= result.limits[backend])
        yield f"{said}; {_trust(predicted, measured, result.stated.get(backend) or Stated())}"


def _verdict(one: LimitVerdict, met: bool) -> str:
    """Returns a verdict in words; ``met`` is whether the prediction keeps the limit."""
    if one.verdict != "too close":
        return _WORDS[one.verdict, met] + (UNKNOWN if one.noise is None else "")
    return (
        f"too close to the limit to tell, within the noise of {percent(one.noise)}; ask for a "
        "limit a little lower, or measure it again (`latbench measure ARCHITECTURE "
        "--retest 1 --store NEW`)"
    )


def _trust(predicted: float, measured: float, stated: Stated) -> str:
    """How far off a prediction was, beside what its predictor stated."""
    side, said = stated.side(measured), "the prediction is "
    if side is not None:
        said = (
            f"the measurement is {side} the predictor's {100 * STATED_LEVEL:.0f} % interval, "
            "the prediction "
        )
    said += _share(predicted / measured - 1, "too high", "too low")
    return said if stated.error is None else f"{said} (stated mean error {percent(stated.error)})"


def _goal_on(result: SearchResult, backend: str) -> str:
    if backend == result.backend or backend not in result.limits:
        return result.goal
    return f"at most {result.metric.show(result.limits[backend], 3)}"


def _share(change: float, more: str, less: str) -> str:
    return f"{percent(abs(change))} {more if change > 0 else less}"


def as_guessed(
    results: Sequence[SearchResult], training: TrainConfig, data: ImageData
) -> str | None:
    """Returns a sentence where networks know no more than who guesses; None where none is such.

    They were trained too little then: their accuracy is no more than two standard errors above one
    in so many classes on the test images.
    """
    chance, images = 1 / data.classes, len(data.test_labels)
    margin = 2 * math.sqrt(chance * (1 - chance) / images)
    known = [(r, r.accuracy) for r in results if r.accuracy is not None]
    low = [r for r, accuracy in known if accuracy <= chance + margin]
    if not low:
        return None
    which = f" of what was found for {listing([r.goal for r in low])}" if len(results) > 1 else ""
    return (
        f"The test accuracy{which} is no better than guessing ({percent(chance)} ± "
        f"{percent(margin)} with {data.classes} classes and {images:,} test images): that is what "
        f"{plural(training.epochs, 'epoch')} of training gives; --train-epochs trains longer"
    )
