"""What ``latbench search`` says in sentences: predictions and limits beside measurements."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from latbench.numerals import percent
from latbench.report.data import STATED_LEVEL, SearchResult, Stated
from latbench.report.text import listing, plural

if TYPE_CHECKING:
    from latbench.search.config import TrainConfig
    from latbench.search.data import ImageData

_VERDICTS = {
    (True, True): "kept, as predicted",
    (True, False): "kept, against the prediction",
    (False, True): "missed, against the prediction",
    (False, False): "missed, as predicted",
}


def kept(result: SearchResult, noise: Mapping[str, float]) -> str:
    """The measurement's verdict on the limits in a word or two, the prediction's where there is no
    measurement; ``noise`` as in ``verdicts``. One limit that is clearly missed is enough."""
    if result.met_measured is None:
        return "" if result.met is None else f"{'yes' if result.met else 'no'}, predicted"
    pairs = [(n, result.cost_on(n), limit) for n, limit in result.limits.items()]
    known = [(cost, limit, noise.get(n, 0.0)) for n, cost, limit in pairs if cost is not None]
    if any(cost > limit and not _too_close(cost, limit, of) for cost, limit, of in known):
        return "no"
    return "too close" if any(_too_close(*one) for one in known) else "yes"


def _too_close(measured: float, limit: float, noise: float) -> bool:
    """Whether noise alone may have put a measurement on its side of the limit."""
    return abs(measured / limit - 1) < noise


def verdicts(result: SearchResult, noise: Mapping[str, float]) -> Iterator[str]:
    """A sentence for each backend that the search paid for and that was measured.

    ``noise`` is how wide the measurements' is, a fraction by backend name.
    """
    for backend in result.together or (result.backend,):
        predicted, measured = result.predicted_on(backend), result.cost_on(backend)
        if predicted is None or measured is None:
            continue
        metric, limit = result.metric, result.limits.get(backend)
        said = (
            f"{_goal_on(result, backend)} on {backend}: predicted {metric.show(predicted, 3)}, "
            f"measured {metric.show(measured, 3)}"
        )
        if limit is not None:
            said += f", {_share(measured / limit - 1, 'above', 'below')} the limit: "
            said += _verdict(predicted, measured, limit, noise.get(backend, 0.0))
        yield f"{said}; {_trust(predicted, measured, result.stated.get(backend) or Stated())}"


def _verdict(predicted: float, measured: float, limit: float, noise: float) -> str:
    if not _too_close(measured, limit, noise):
        return _VERDICTS[measured <= limit, predicted <= limit]
    return (
        f"too close to the limit to tell, within the noise of {percent(noise)}; ask for a limit a "
        "little lower, or measure it again (`latbench measure --architecture ... --retest 1 "
        "--store NEW`)"
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
    """A sentence when networks were trained so little that they know no more than who guesses:
    within two standard errors of one in so many classes on the test images."""
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
